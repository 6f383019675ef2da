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

from memroll.api.evidence import NUMBER_MAX
from memroll.api.pod_roll import Phase
from memroll.api.policy import LEDGER_LINES_MAX, LEDGER_MAX, LeakingLine, LedgerEntry
from memroll.detection.verdict import Breach
from memroll.model.revisions import revision_of, revision_of_roll, workload_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from memroll.api.evidence import Evidence
    from memroll.api.pod_roll import Finding, PodRoll
    from memroll.detection.assessment import Assessment
    from memroll.reporting.outcome import Outcome

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
class Found:
    """What one pass knows of one key. Growth in bytes per hour."""

    image: str = ""
    growth_of_rolls: list[int] = field(default_factory=list)
    growth_now: list[int] = field(default_factory=list)
    seen: list[datetime] = field(default_factory=list)
    rolled: list[datetime] = field(default_factory=list)
    killed: list[datetime] = field(default_factory=list)
    rolls: list[PodRoll] = field(default_factory=list)


def ledger(old: Sequence[LedgerEntry], outcome: Outcome) -> tuple[LedgerEntry, ...]:
    """Return the ledger after a pass: old entries and those of what leaks now, the newest first."""
    known = {_key(e.workload, e.revision, e.container, e.image): e for e in old}
    every = _found(outcome)
    for key, found in every.items():
        entry = known.get(key)
        if entry is not None or found.seen or found.rolled:
            known[key] = _merged(key, entry, found)
    newest = sorted(known.items(), key=lambda item: (-item[1].last_seen.timestamp(), item[0]))
    return tuple(entry for _, entry in newest[:LEDGER_MAX])


def _key(workload: str, revision: str, container: str, image: str) -> Key:
    return Key(workload, revision[:REVISION_CHARS_MAX], container, "" if revision else image[:IMAGE_CHARS_MAX])


def _found(outcome: Outcome) -> dict[Key, Found]:
    every: dict[Key, Found] = defaultdict(Found)
    for assessment in outcome.assessments:
        target, container = assessment.target, assessment.container
        if not target.released:  # its roll speaks for it, and it no longer says whose it is
            key = _key(workload_of(target), revision_of(target), container.name, container.image)
            _note_container(every[key], assessment, outcome.now)
    for roll, finding, revision in _ended_rolls(outcome):
        key = _key(str(roll.status.workload), revision, finding.container, finding.image)
        _note_roll(every[key], roll, finding)
    return every


def _note_container(found: Found, assessment: Assessment, now: datetime) -> None:
    container, verdict = assessment.container, assessment.verdict
    found.image = found.image or container.image
    if container.oom_killed_at is not None:
        found.killed.append(container.oom_killed_at)
    if isinstance(verdict, Breach):
        found.seen.append(now.replace(microsecond=0) - UNSEEN)
        if verdict.trend is not None:
            found.growth_now.append(round(verdict.trend.slope_bytes_per_s * 3600))


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


def _note_roll(found: Found, roll: PodRoll, finding: Finding) -> None:
    found.image = found.image or finding.image
    found.rolled.append((roll.status.times.finished or roll.created_at).replace(microsecond=0))
    found.rolls.append(roll)
    if finding.growth_bytes_per_hour is not None:
        found.growth_of_rolls.append(finding.growth_bytes_per_hour)


def _merged(key: Key, entry: LedgerEntry | None, found: Found) -> LedgerEntry:
    old = entry or _empty(key, found)
    rolled, killed = (_since(entry, times) for times in (found.rolled, found.killed))
    growth = found.growth_of_rolls or found.growth_now
    first_rolled = old.first_rolled or min(rolled, default=None)
    learned, freed_bytes = _learned(old, found.rolls)
    return old.model_copy(
        update={
            "image": (found.image or old.image)[:IMAGE_CHARS_MAX],
            "growth_bytes_per_hour": round(median(growth)) if growth else old.growth_bytes_per_hour,
            "rolls": old.rolls + len(rolled),
            "oom_kills": old.oom_kills + len(killed),
            "oom_kills_since": old.oom_kills_since + sum(1 for t in killed if first_rolled and t > first_rolled),
            "freed_bytes": old.freed_bytes + freed_bytes,
            "last_seen": max((old.last_seen, *found.seen, *rolled, *killed)),
            "first_rolled": first_rolled,
            "last_learned": learned,
            **_by_evidence(found.rolls),
        }
    )


def _empty(key: Key, found: Found) -> LedgerEntry:
    first = min((*found.seen, *found.rolled, *found.killed))
    return LedgerEntry(
        workload=key.workload, revision=key.revision, container=key.container, first_seen=first, last_seen=first
    )


def _since(entry: LedgerEntry | None, times: Sequence[datetime]) -> list[datetime]:
    return [t for t in times if entry is None or t > entry.last_seen]


def _learned(old: LedgerEntry, rolls: Sequence[PodRoll]) -> tuple[datetime | None, int]:
    """Return up to when it is counted what rolls were worth, and what those freed that are counted now.

    Their worth is known long after their end: `lastSeen` says nothing about which of them are counted.
    """
    judged = [m for r in rolls if (m := r.status.memory) and m.judged and m.before_bytes and m.after_bytes is not None]
    fresh = [m for m in judged if m.judged and (old.last_learned is None or m.judged > old.last_learned)]
    freed_bytes = sum(max(0, (m.before_bytes or 0) - (m.after_bytes or 0)) for m in fresh)
    return max((m.judged for m in fresh if m.judged), default=old.last_learned), freed_bytes


def _by_evidence(rolls: Sequence[PodRoll]) -> dict[str, object]:
    """Return what the evidence of the newest rolls tells; what none of them tells stays as it was."""
    told: dict[str, object] = {}
    for roll in sorted(rolls, key=lambda r: (r.created_at, r.name)):
        evidence = roll.status.evidence
        if evidence is None:
            continue
        if evidence.grown:
            lines = (LeakingLine(at=str(g), bytes=g.bytes) for g in evidence.grown[:LEDGER_LINES_MAX])
            told["lines"] = tuple(lines)
        per_request = _bytes_per_request(roll, evidence)
        if per_request is not None:
            told["growth_bytes_per_request"] = per_request
    return told


def _bytes_per_request(roll: PodRoll, evidence: Evidence) -> int | None:
    """Divide the growth an hour by the requests an hour that the process has had on average."""
    finding, probe = roll.spec.finding, evidence.probe
    if finding is None or probe is None or not (probe.requests_total and probe.uptime_seconds):
        return None
    growth = finding.growth_bytes_per_hour
    if growth is None or growth < 0:
        return None
    return min(round(growth * probe.uptime_seconds / 3600 / probe.requests_total), NUMBER_MAX)
