"""Suggested limits: containers that exited several times near one usage, and not by an OOM kill. Pure.

The exits are in the policy's status, so that a restart of memroll forgets none. Like the leak ledger they are derived:
an exit that is processed twice changes nothing. A suggestion is never applied: a person must find out whether the
runtime has such a limit.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from memroll.api.base import MAX_UID_CHARS
from memroll.api.limit_suggestion import (
    MAX_EXITED_CONTAINERS,
    MAX_EXITS,
    MAX_SUGGESTIONS,
    ExitedContainer,
    LimitSuggestion,
    ObservedExit,
)
from memroll.api.quantity import format_mib
from memroll.model.pod_names import workload_or_pod
from memroll.model.revisions import revision_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from memroll.detection.assessment import Assessment
    from memroll.model.pods import Container, ContainerExit, Pod
    from memroll.reporting.outcome import ExitKey, Outcome

MIN_EXITS = 3
"""Minimum number of exits near one usage, chosen by hand: two are a coincidence more often than not."""
MAX_DISTANCE = 0.1
"""Maximum distance of these exits below the highest of them, as a ratio of it. Chosen by hand: the last scrape before
an exit is below the limit of the runtime by what memory grows between two scrapes, a few percent."""
MIN_RATIO_NEAR = 0.75
"""Minimum ratio of the exits near that usage to all exits, chosen by hand: a container that crashes at any usage has
other causes, and three of its exits are near each other by coincidence."""
MAX_OF_LIMIT = 0.95
"""Maximum ratio of a suggestion to the limit that counts already, chosen by hand: above it nothing would be won."""
MAX_REVISION_CHARS = 63
"""Maximum length of a revision in an entry, in characters."""


def exit_key(pod: Pod, container: Container) -> ExitKey:
    """Return the key of the entry that a container's exits belong to."""
    return workload_or_pod(pod), revision_of(pod)[:MAX_REVISION_CHARS], container.name


def is_included(entries: Sequence[ExitedContainer], key: ExitKey, pod: Pod, ended: ContainerExit) -> bool:
    """Return whether an exit is included already: in its entry, or older than all that there is room for."""
    known = next((e.exits for e in entries if _key(e) == key), None)
    at = ended.finished_at.replace(microsecond=0)
    if known is None:
        return len(entries) >= MAX_EXITED_CONTAINERS and at <= min(_newest(e) for e in entries)
    identity = (pod.key.uid[:MAX_UID_CHARS], at)
    is_full = len(known) >= MAX_EXITS
    return any((e.uid, e.time) == identity for e in known) or (is_full and at <= min(e.time for e in known))


def update_exits(old: Sequence[ExitedContainer], outcome: Outcome) -> tuple[ExitedContainer, ...]:
    """Return the entries with the exits of a reconcile, newest first; each exit once, in whichever order."""
    entries = {_key(e): e for e in old}
    for measured in outcome.measured_exits:
        workload, revision, container = measured.key
        entry = entries.get(measured.key) or ExitedContainer(workload=workload, revision=revision, container=container)
        exits = {(e.time, e.uid): e for e in (measured.observed, *entry.exits)}
        newest = tuple(exits[identity] for identity in sorted(exits)[-MAX_EXITS:])
        entries[measured.key] = entry.model_copy(update={"exits": newest})
    newest_first = sorted(entries.values(), key=lambda e: (-_newest(e).timestamp(), _key(e)))
    return tuple(newest_first[:MAX_EXITED_CONTAINERS])


def new_suggestions(outcome: Outcome) -> Iterator[LimitSuggestion]:
    """Yield the suggestions of a reconcile that the policy's status does not contain yet."""
    old = outcome.policy.status
    known = {(s.workload, s.container) for s in old.suggestions}
    for suggestion in find_suggestions(update_exits(old.exits, outcome), outcome):
        if (suggestion.workload, suggestion.container) not in known:
            yield suggestion


def find_suggestions(entries: Sequence[ExitedContainer], outcome: Outcome) -> tuple[LimitSuggestion, ...]:
    """Return the suggested limits for containers of revisions that have pods now."""
    running: dict[ExitKey, list[Assessment]] = {}
    for a in outcome.assessments:
        running.setdefault(exit_key(a.pod, a.container), []).append(a)
    found = (s for e in entries if (s := _suggestion(e, running)) is not None)
    return tuple(sorted(found, key=lambda s: (s.workload, s.container))[:MAX_SUGGESTIONS])


def _suggestion(entry: ExitedContainer, running: Mapping[ExitKey, Sequence[Assessment]]) -> LimitSuggestion | None:
    assessments = running.get(_key(entry), ())
    near = usages_near_each_other(entry.exits)
    if not near or not assessments:
        return None
    highest = (1 + MAX_DISTANCE) * max(near)
    if any((a.verdict.usage_bytes or 0.0) > highest for a in assessments):
        return None  # it lives above that usage
    mib = _rounded_down(min(near) / 2**20)
    limits = [a.container.limit_bytes for a in assessments if a.container.limit_bytes is not None]
    if not mib or any(mib * 2**20 > MAX_OF_LIMIT * limit for limit in limits):
        return None
    limit = f"{mib}Mi"
    message = f"containers exited {len(near)} times near {format_mib(median(near))}, and were not OOM-killed;"
    message += f" if that is a limit of the runtime, set exhaustion.limit: {limit}"
    return LimitSuggestion(
        workload=entry.workload, container=entry.container, limit=limit, exits=len(near), message=message
    )


def usages_near_each_other(exits: Sequence[ObservedExit]) -> list[int]:
    """Return the usages of exits near one usage, up to which memory had grown; none if they are no pattern.

    Most exits must be near it, and none above: a container that was above it did not die of it.
    """
    usages = [e.usage_bytes for e in exits if e.usage_bytes is not None]
    grown = [e.usage_bytes for e in exits if e.usage_bytes is not None and e.grew]
    if len(grown) < MIN_EXITS:
        return []
    highest = max(grown)
    near = [u for u in grown if u >= (1 - MAX_DISTANCE) * highest]
    is_pattern = len(near) >= max(MIN_EXITS, MIN_RATIO_NEAR * len(usages))
    return near if is_pattern and max(usages) <= (1 + MAX_DISTANCE) * highest else []


def _rounded_down(mib: float) -> int:
    """Round down to two digits: 515 to 510, 1234 to 1200."""
    step: int = 10 ** max(0, len(str(int(mib))) - 2)
    return int(mib) // step * step


def _key(entry: ExitedContainer) -> ExitKey:
    return entry.workload, entry.revision, entry.container


def _newest(entry: ExitedContainer) -> datetime:
    return max(e.time for e in entry.exits)
