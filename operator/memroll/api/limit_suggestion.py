"""Suggested limits in the status of a MemoryPolicy, and the exits of containers that they are derived from."""

from __future__ import annotations

from pydantic import Field

from memroll.api.base import ATOMIC, MAX_REFERENCE_CHARS, ApiModel, Message, ShortText, Time, Uid

MAX_EXITED_CONTAINERS = 10
"""Maximum number of entries in `status.exits`, chosen by hand."""
MAX_EXITS = 8
"""Maximum number of exits in an entry, chosen by hand: enough for three of one cause among some of another."""
MAX_SUGGESTIONS = 5
"""Maximum number of entries in `status.suggestions`, chosen by hand."""


class ObservedExit(ApiModel):
    """Exit of a container that was restarted in place."""

    uid: Uid
    """UID of its pod."""
    time: Time
    """Time of the exit."""
    usage_bytes: int | None = Field(default=None, ge=0)
    """Last working set before the exit; unset if Prometheus has none."""
    grew: bool = False
    """True if the memory had grown up to the exit, so that it may be the cause."""


class ExitedContainer(ApiModel):
    """Exits of one container in one revision of its workload."""

    workload: str = Field(max_length=MAX_REFERENCE_CHARS)
    """Kind and name, such as `Deployment/chat`."""
    revision: str = Field(default="", max_length=63)
    """Template hash, or the name of the revision where there is none."""
    container: ShortText
    """Name of the container."""
    exits: tuple[ObservedExit, ...] = Field(default=(), max_length=MAX_EXITS, json_schema_extra=ATOMIC)
    """Newest exits, other than OOM kills and those within `growth.warmUp`."""


class LimitSuggestion(ApiModel):
    """Value for `exhaustion.limit` that is suggested, because containers exited near one usage. Never applied."""

    workload: str = Field(max_length=MAX_REFERENCE_CHARS)
    """Kind and name, such as `Deployment/chat`."""
    container: ShortText
    """Name of the container."""
    limit: ShortText
    """Suggested value, such as `510Mi`."""
    exits: int = Field(ge=0)
    """Number of exits near this usage."""
    message: Message = ""
    """Reason for the suggestion, as a sentence."""
