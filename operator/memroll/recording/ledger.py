"""The leak ledger: what leaks, by workload, revision, container and image. It outlives the PodRolls that it is made of.

Derived, not counted up: what is not newer than an entry's `lastSeen` is in it already, so that the same pass told
twice changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from memroll.analysis.verdict import Breach
from memroll.api.policy import LEDGER_MAX, LedgerEntry
from memroll.api.roll import Phase
from memroll.disruption.revisions import revision_of, revision_of_roll, workload_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from memroll.api.roll import Finding, PodRoll
    from memroll.recording.outcome import Assessment, Outcome

UNSEEN = timedelta(seconds=30)
"""What happened so lately may not be reported yet: a leak was seen this long ago, and a kill after that is new."""
IMAGE_CHARS_MAX = 512
REVISION_CHARS_MAX = 63


class Key(NamedTuple):
    """What tells entries apart. The image only where no revision does: a template names one."""

    workload: str
    revision: str
    container: str
    image: str


@dataclass(slots=True)
class Evidence:
    """What one pass knows of one key. Growth in bytes per hour."""

    image: str = ""
    growth_of_rolls: list[int] = field(default_factory=list)
    growth_now: list[int] = field(default_factory=list)
    seen: list[datetime] = field(default_factory=list)
    rolled: list[datetime] = field(default_factory=list)
    killed: list[datetime] = field(default_factory=list)


def ledger(old: Sequence[LedgerEntry], outcome: Outcome) -> tuple[LedgerEntry, ...]:
    """Return the ledger after a pass: old entries and those of what leaks now, the newest first."""
    known = {_key(e.workload, e.revision, e.container, e.image): e for e in old}
    found = _evidence(outcome)
    for key, evidence in found.items():
        entry = known.get(key)
        if entry is not None or evidence.seen or evidence.rolled:
            known[key] = _merged(key, entry, evidence)
    newest = sorted(known.items(), key=lambda item: (-item[1].last_seen.timestamp(), item[0]))
    return tuple(entry for _, entry in newest[:LEDGER_MAX])


def _key(workload: str, revision: str, container: str, image: str) -> Key:
    return Key(workload, revision[:REVISION_CHARS_MAX], container, "" if revision else image[:IMAGE_CHARS_MAX])


def _evidence(outcome: Outcome) -> dict[Key, Evidence]:
    found: dict[Key, Evidence] = defaultdict(Evidence)
    for assessment in outcome.assessments:
        target, container = assessment.target, assessment.container
        if not target.released:  # its roll speaks for it, and it no longer says whose it is
            key = _key(workload_of(target), revision_of(target), container.name, container.image)
            _note_container(found[key], assessment, outcome.now)
    for roll, finding, revision in _ended_rolls(outcome):
        key = _key(str(roll.status.workload), revision, finding.container, finding.image)
        _note_roll(found[key], roll, finding)
    return found


def _note_container(evidence: Evidence, assessment: Assessment, now: datetime) -> None:
    container, verdict = assessment.container, assessment.verdict
    evidence.image = evidence.image or container.image
    if container.oom_killed_at is not None:
        evidence.killed.append(container.oom_killed_at)
    if isinstance(verdict, Breach):
        evidence.seen.append(now.replace(microsecond=0) - UNSEEN)
        if verdict.trend is not None:
            evidence.growth_now.append(round(verdict.trend.slope_bytes_per_s * 3600))


def _ended_rolls(outcome: Outcome) -> Iterator[tuple[PodRoll, Finding, str]]:
    """Yield the successful rolls whose revision is known.

    That of a StatefulSet's or DaemonSet's pod stands on the pod: it is counted when its replacement is seen, and not
    guessed later.
    """
    on_pods = {a.target.key.uid: revision_of(a.target) for a in outcome.assessments}
    for roll in outcome.rolls:
        finding, new, revision = roll.spec.finding, roll.status.replacement, revision_of_roll(roll)
        if roll.status.phase is not Phase.SUCCEEDED or roll.status.workload is None or finding is None:
            continue
        if revision is None and new is not None:
            revision = on_pods.get(new.uid)
        if revision is not None:
            yield roll, finding, revision


def _note_roll(evidence: Evidence, roll: PodRoll, finding: Finding) -> None:
    evidence.image = evidence.image or finding.image
    evidence.rolled.append((roll.status.times.finished or roll.created_at).replace(microsecond=0))
    if finding.growth_bytes_per_hour is not None:
        evidence.growth_of_rolls.append(finding.growth_bytes_per_hour)


def _merged(key: Key, entry: LedgerEntry | None, evidence: Evidence) -> LedgerEntry:
    rolled, killed = (_since(entry, times) for times in (evidence.rolled, evidence.killed))
    growth = evidence.growth_of_rolls or evidence.growth_now
    times = [*evidence.seen, *rolled, *killed]
    return LedgerEntry(
        workload=key.workload,
        revision=key.revision,
        container=key.container,
        image=(evidence.image or (entry.image if entry else ""))[:IMAGE_CHARS_MAX],
        growth_bytes_per_hour=round(median(growth)) if growth else entry.growth_bytes_per_hour if entry else None,
        rolls=len(rolled) + (entry.rolls if entry else 0),
        oom_kills=len(killed) + (entry.oom_kills if entry else 0),
        first_seen=entry.first_seen if entry else min(times),
        last_seen=max([*times, entry.last_seen] if entry else times),
    )


def _since(entry: LedgerEntry | None, times: Sequence[datetime]) -> list[datetime]:
    return [t for t in times if entry is None or t > entry.last_seen]
