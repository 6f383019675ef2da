"""Leak ledger in the status of a MemoryPolicy: known leaks by workload and revision."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from memroll.api.base import ATOMIC, MAX_REFERENCE_CHARS, ApiModel, ImageName, ShortText, Time, Uid
from memroll.api.evidence import Count

MAX_LEDGER_ENTRIES = 20
"""Maximum number of entries in `status.ledger`, chosen by hand."""
MAX_LEDGER_LINES = 3
"""Maximum number of lines of code in an entry of the ledger, chosen by hand."""
MAX_COUNTED_EVICTIONS = 10
"""Maximum number of evicted pods that an entry of the ledger contains, chosen by hand."""


class LeakingLine(ApiModel):
    """Line of code whose memory grew in the pod that was rolled last."""

    at: Annotated[str, Field(max_length=240)]
    """File and line, such as `app/cache.py:42`."""
    bytes: Count
    """Growth in bytes, from the pod's own report."""


class CountedEviction(ApiModel):
    """Pod whose eviction is counted in an entry of the ledger."""

    uid: Uid
    """UID of the pod."""
    time: Time
    """Time of its eviction."""


class LedgerEntry(ApiModel):
    """Leak of one container in one revision of its workload."""

    workload: str = Field(max_length=MAX_REFERENCE_CHARS)
    """Kind and name, such as `Deployment/chat`."""
    revision: str = Field(default="", max_length=63)
    """Template hash, or the name of the revision where there is none."""
    container: ShortText
    """Name of the container."""
    image: ImageName = ""
    """Image of the container."""
    growth_bytes_per_hour: int | None = None
    """Median growth of the pods that were rolled, else of those that leak now."""
    rolls: int = Field(default=0, ge=0)
    """Number of successful rolls in this revision."""
    oom_kills: int = Field(default=0, ge=0)
    """Number of OOM kills that memroll observed in this revision."""
    oom_kills_since: int = Field(default=0, ge=0)
    """Number of these OOM kills after the first roll of this revision."""
    node_pressure_evictions: int = Field(default=0, ge=0)
    """Number of pods with this container that the kubelet evicted because their node was low on memory."""
    last_node_pressure_eviction: Time | None = None
    """Time of the last such eviction that is counted."""
    counted_evictions: tuple[CountedEviction, ...] = Field(
        default=(), max_length=MAX_COUNTED_EVICTIONS, json_schema_extra=ATOMIC
    )
    """Newest of these pods, so that each is counted once in whichever order they are reported."""
    growth_bytes_per_request: int | None = Field(default=None, ge=0)
    """Growth per hour divided by requests per hour, where the pod reports its requests."""
    lines: tuple[LeakingLine, ...] = Field(default=(), max_length=MAX_LEDGER_LINES, json_schema_extra=ATOMIC)
    """Lines of code with the most growth, from the evidence of the last roll."""
    freed_bytes: int = Field(default=0, ge=0)
    """Memory that the rolls freed, up to `lastCompared`."""
    first_seen: Time
    """First time at which the leak was detected, or a pod was rolled or OOM-killed."""
    last_seen: Time
    """Last time at which the leak was detected, or a pod was rolled or OOM-killed."""
    first_rolled: Time | None = None
    """End of the first roll."""
    last_compared: Time | None = None
    """Time of the last comparison that `freedBytes` includes."""
