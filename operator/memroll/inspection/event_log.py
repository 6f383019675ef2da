"""Events that memroll has published, newest last. `memroll events` prints them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.event_recorder import CONTROLLER
from memroll.clients.kube.json_access import get_int, get_str, get_time
from memroll.clients.kube.pods import CORE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memroll.clients.kube.api_client import KubeApi

NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""Time of an Event without a valid time."""
PUBLISHED_BY = {"fieldSelector": f"reportingComponent={CONTROLLER}"}
"""Query of the Events of the operator."""


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """Event of the operator."""

    namespace: str
    at: datetime
    """Time of the last occurrence."""
    is_warning: bool
    reason: str
    kind: str
    """Kind of the object that the Event is about."""
    name: str
    message: str
    count: int

    @property
    def about(self) -> str:
        """Kind and name of the object that the Event is about."""
        return f"{self.kind}/{self.name}"


async def read_events(api: KubeApi, namespace: str, since: datetime, about: str = "") -> tuple[PublishedEvent, ...]:
    """Return the Events of a namespace, or of all, since a time, oldest first; `about`: a name, or kind and name."""
    raws = [raw async for raw in api.list_items(build_path(CORE, namespace, "events"), PUBLISHED_BY)]
    found = (e for e in _decode(raws) if e.at >= since and _is_about(e, about))
    return tuple(sorted(found, key=lambda e: (e.at, e.namespace, e.about)))


def _is_about(event: PublishedEvent, about: str) -> bool:
    return not about or about.lower() in (event.name.lower(), event.about.lower())


def _decode(raws: Iterable[dict[str, Any]]) -> Iterable[PublishedEvent]:
    for raw in raws:
        if get_str(raw, "reportingComponent") == CONTROLLER:  # a server may ignore the selector
            yield PublishedEvent(
                namespace=get_str(raw, "metadata", "namespace"),
                at=get_time(raw, "lastTimestamp") or get_time(raw, "metadata", "creationTimestamp") or NEVER,
                is_warning=get_str(raw, "type") == "Warning",
                reason=get_str(raw, "reason"),
                kind=get_str(raw, "involvedObject", "kind"),
                name=get_str(raw, "involvedObject", "name"),
                message=get_str(raw, "message"),
                count=get_int(raw, "count", default=1),
            )
