"""One Event about many pods: of the Events about single pods with one reason, a few are published, of many only one.

`event_builder` passes in what a reconcile found about each pod. A policy of 5,000 pods whose series end would otherwise
publish 5,000 Events, each of them three requests to the API server.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.reporting.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memroll.reporting.events import EventReason, Regarding

MAX_SINGLE = 5
"""Maximum number of pods about which a reconcile publishes Events of their own with one reason; chosen by hand."""
MAX_NAMED = 5
"""Maximum number of pods that the Event about many pods names; chosen by hand."""


@dataclass(frozen=True, slots=True)
class PodFinding:
    """Events about one pod, with one reason."""

    pod: str
    text: str
    """Message that names the pod."""
    events: tuple[Event, ...]
    """Events of the same reason, at least one."""
    cause: str = ""
    """Part of the reason that is not in its name, such as the gate that blocks a roll."""


def group_findings(policy: Regarding, findings: Iterable[PodFinding]) -> Iterator[Event]:
    """Return the Events of each finding, or for more than MAX_SINGLE pods with one reason and cause one of the policy.

    The first findings of a reason are the ones that are named.
    """
    groups: dict[tuple[EventReason, str], list[PodFinding]] = defaultdict(list)
    for finding in findings:
        groups[finding.events[0].reason, finding.cause].append(finding)
    for group in groups.values():
        pods = list(dict.fromkeys(finding.pod for finding in group))
        if len(pods) > MAX_SINGLE:
            yield _about_many(policy, group, pods)
        else:
            for finding in group:
                yield from finding.events


def _about_many(policy: Regarding, group: list[PodFinding], pods: list[str]) -> Event:
    first = group[0]
    event = first.events[0]
    named = ", ".join(pods[:MAX_NAMED])
    rest = f" and {len(pods) - MAX_NAMED} more" if len(pods) > MAX_NAMED else ""
    cause = f" ({first.cause})" if first.cause else ""
    text = f"{event.reason.value}{cause} of {len(pods)} pods: {named}{rest}. {first.text}"
    return Event(policy, event.type, event.reason, text, f"many/{first.cause}")
