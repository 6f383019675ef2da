"""Leak ledger: known leaks by workload, revision, container and image. It outlives the PodRolls it is derived from.

`status` passes in the previous ledger and the outcome of a reconcile. The ledger is derived, not counted up: an
observation that is not newer than an entry's `lastSeen` is already included. Therefore an outcome that is processed
twice changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from memroll.api.base import MAX_IMAGE_CHARS, MAX_UID_CHARS
from memroll.api.evidence import MAX_NUMBER
from memroll.api.leak_ledger import (
    MAX_COUNTED_EVICTIONS,
    MAX_LEDGER_ENTRIES,
    CountedEviction,
    LeakingLine,
    LedgerEntry,
)
from memroll.api.pod_roll import Phase
from memroll.model.pod_names import workload_or_pod
from memroll.model.revisions import revision_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from memroll.detection.assessment import Assessment
    from memroll.model.roll_record import RecordedReport, RecordedTrigger, RollRecord
    from memroll.reporting.outcome import Outcome

REPORT_DELAY = timedelta(seconds=30)
"""Maximum delay with which the kubelet reports an OOM kill; a leak counts as seen that long ago, so that a kill which
is reported late is still newer. Chosen by hand."""
MAX_REVISION_CHARS = 63
"""Maximum length of a revision in an entry, in characters."""


class LedgerKey(NamedTuple):
    """Identity of an entry. It contains the image only if there is no revision, which determines the image."""

    workload: str
    revision: str
    container: str
    image: str


@dataclass(slots=True)
class LeakObservations:
    """Observations of one reconcile that belong to one entry. Growth is in bytes per hour."""

    image: str = ""
    growth_of_rolls: list[int] = field(default_factory=list)
    growth_now: list[int] = field(default_factory=list)
    seen: list[datetime] = field(default_factory=list)
    rolled: list[datetime] = field(default_factory=list)
    killed: list[datetime] = field(default_factory=list)
    evicted: list[CountedEviction] = field(default_factory=list)
    rolls: list[RollRecord] = field(default_factory=list)


def update_ledger(old: Sequence[LedgerEntry], outcome: Outcome) -> tuple[LedgerEntry, ...]:
    """Return the ledger after a reconcile: previous entries and those of current leaks, newest first."""
    entries = {_key(e.workload, e.revision, e.container, e.image): e for e in old}
    for key, observed in _observe(outcome).items():
        entry = entries.get(key)
        if entry is not None or observed.seen or observed.rolled:
            entries[key] = _merge(key, entry, observed)
    newest = sorted(entries.items(), key=lambda item: (-item[1].last_seen.timestamp(), item[0]))
    return tuple(entry for _, entry in newest[:MAX_LEDGER_ENTRIES])


def _key(workload: str, revision: str, container: str, image: str) -> LedgerKey:
    return LedgerKey(workload, revision[:MAX_REVISION_CHARS], container, "" if revision else image[:MAX_IMAGE_CHARS])


def _observe(outcome: Outcome) -> dict[LedgerKey, LeakObservations]:
    observations: dict[LedgerKey, LeakObservations] = defaultdict(LeakObservations)
    for assessment in outcome.assessments:
        pod, container = assessment.pod, assessment.container
        if not pod.released:  # it no longer has an owner; its PodRoll is counted instead
            key = _key(workload_or_pod(pod), revision_of(pod), container.name, container.image)
            _add_container(observations[key], assessment, outcome.now)
    for key, eviction in _evictions(outcome):
        observations[key].evicted.append(eviction)
    for roll, trigger, revision in _ended_rolls(outcome):
        key = _key(str(roll.status.workload), revision, trigger.container, trigger.image)
        _add_roll(observations[key], roll, trigger)
    return observations


def _add_container(observed: LeakObservations, assessment: Assessment, now: datetime) -> None:
    container, verdict = assessment.container, assessment.verdict
    observed.image = observed.image or container.image
    if container.oom_killed_at is not None:
        observed.killed.append(container.oom_killed_at)
    if verdict.is_at_risk:
        observed.seen.append(now.replace(microsecond=0) - REPORT_DELAY)
        if verdict.trend is not None:
            observed.growth_now.append(round(verdict.trend.slope_bytes_per_s * 3600))


def _evictions(outcome: Outcome) -> Iterator[tuple[LedgerKey, CountedEviction]]:
    """Yield the watched containers of the pods that the kubelet evicted for memory, each with the eviction."""
    watched = outcome.policy.spec.containers
    for pod in outcome.evicted_pods:
        evicted_at = pod.node_pressure_evicted_at
        if evicted_at is None or evicted_at > outcome.now or pod.released:
            continue
        for container in pod.containers:
            if not watched or container.name in watched:
                key = _key(workload_or_pod(pod), revision_of(pod), container.name, container.image)
                yield key, CountedEviction(uid=pod.key.uid[:MAX_UID_CHARS], time=evicted_at)


def _ended_rolls(outcome: Outcome) -> Iterator[tuple[RollRecord, RecordedTrigger, str]]:
    """Yield the successful rolls whose revision is known.

    A roll of a StatefulSet's or DaemonSet's pod does not contain the revision; the pod does. Such a roll is counted
    when its replacement is observed, never by a guess.
    """
    by_uid = {a.pod.key.uid: revision_of(a.pod) for a in outcome.assessments}
    for roll in outcome.rolls:
        trigger, replacement, revision = roll.spec.trigger, roll.status.replacement, roll.revision
        if roll.status.phase is not Phase.SUCCEEDED or roll.status.workload is None or trigger is None:
            continue
        if revision is None and replacement is not None:
            revision = by_uid.get(replacement.uid)
        if revision is not None:
            yield roll, trigger, revision


def _add_roll(observed: LeakObservations, roll: RollRecord, trigger: RecordedTrigger) -> None:
    observed.image = observed.image or trigger.image
    observed.rolled.append((roll.status.times.finished or roll.created_at).replace(microsecond=0))
    observed.rolls.append(roll)
    if trigger.growth_bytes_per_hour is not None:
        observed.growth_of_rolls.append(trigger.growth_bytes_per_hour)


def _merge(key: LedgerKey, entry: LedgerEntry | None, observed: LeakObservations) -> LedgerEntry:
    old = entry or _new_entry(key, observed)
    rolled, killed = (_newer(entry, times) for times in (observed.rolled, observed.killed))
    growth = observed.growth_of_rolls or observed.growth_now
    first_rolled = old.first_rolled or min(rolled, default=None)
    last_compared, freed_bytes = _newly_freed(old, observed.rolls)
    return old.model_copy(
        update={
            "image": (observed.image or old.image)[:MAX_IMAGE_CHARS],
            "growth_bytes_per_hour": round(median(growth)) if growth else old.growth_bytes_per_hour,
            "rolls": old.rolls + len(rolled),
            "oom_kills": old.oom_kills + len(killed),
            "oom_kills_since": old.oom_kills_since + sum(1 for t in killed if first_rolled and t > first_rolled),
            "freed_bytes": old.freed_bytes + freed_bytes,
            "last_seen": max((old.last_seen, *observed.seen, *rolled, *killed)),
            "first_rolled": first_rolled,
            "last_compared": last_compared,
            **_fields_from_evictions(old, observed.evicted),
            **_fields_from_evidence(observed.rolls),
        }
    )


def _new_entry(key: LedgerKey, observed: LeakObservations) -> LedgerEntry:
    first = min((*observed.seen, *observed.rolled, *observed.killed))
    return LedgerEntry(
        workload=key.workload, revision=key.revision, container=key.container, first_seen=first, last_seen=first
    )


def _newer(entry: LedgerEntry | None, times: Sequence[datetime]) -> list[datetime]:
    return [t for t in times if entry is None or t > entry.last_seen]


def _fields_from_evictions(old: LedgerEntry, evicted: Sequence[CountedEviction]) -> dict[str, object]:
    """Return the fields of an entry that count evictions, each pod once, whichever order they are reported in.

    A kubelet whose node is low on memory may report an eviction minutes later, and pods of several nodes are evicted in
    the same second, so that no time determines which evictions are already included: the entry has the newest pods. One
    that is older than all of these, when there is no room for it, counts as included.
    """
    known = {eviction.uid for eviction in old.counted_evictions}
    is_full = len(old.counted_evictions) >= MAX_COUNTED_EVICTIONS
    oldest = min(map(_age_of_eviction, old.counted_evictions)) if is_full else None
    new = [e for e in evicted if e.uid not in known and (oldest is None or _age_of_eviction(e) > oldest)]
    if not new:
        return {}
    newest = sorted((*old.counted_evictions, *new), key=_age_of_eviction)[-MAX_COUNTED_EVICTIONS:]
    return {
        "node_pressure_evictions": old.node_pressure_evictions + len(new),
        "last_node_pressure_eviction": newest[-1].time,
        "counted_evictions": tuple(newest),
    }


def _age_of_eviction(eviction: CountedEviction) -> tuple[datetime, str]:
    return eviction.time, eviction.uid


def _newly_freed(old: LedgerEntry, rolls: Sequence[RollRecord]) -> tuple[datetime | None, int]:
    """Return the new `last_compared` of an entry, and the memory freed by the rolls compared since the previous one.

    A roll is compared long after its end, so that `lastSeen` does not determine which rolls are already included.
    """
    effects = [e for r in rolls if (e := r.status.effect) and e.before_bytes and e.after_bytes is not None]
    last = old.last_compared
    new = [(e.compared_at, e) for e in effects if e.compared_at and (last is None or e.compared_at > last)]
    freed_bytes = sum(max(0, (e.before_bytes or 0) - (e.after_bytes or 0)) for _, e in new)
    return max((at for at, _ in new), default=last), freed_bytes


def _fields_from_evidence(rolls: Sequence[RollRecord]) -> dict[str, object]:
    """Return the fields of an entry for which the rolls have evidence; the newest evidence wins."""
    fields: dict[str, object] = {}
    for roll in sorted(rolls, key=lambda r: (r.created_at, r.name)):
        report = roll.status.report
        if report is None:
            continue
        if report.lines:
            fields["lines"] = tuple(LeakingLine(at=line, bytes=growth) for line, growth in report.lines)
        per_request = _bytes_per_request(roll, report)
        if per_request is not None:
            fields["growth_bytes_per_request"] = per_request
    return fields


def _bytes_per_request(roll: RollRecord, report: RecordedReport) -> int | None:
    """Divide the growth per hour by the average requests per hour of the process; None if either is not known."""
    trigger = roll.spec.trigger
    if trigger is None or not (report.requests_total and report.uptime_seconds):
        return None
    growth = trigger.growth_bytes_per_hour
    if growth is None or growth < 0:
        return None
    return min(round(growth * report.uptime_seconds / 3600 / report.requests_total), MAX_NUMBER)
