"""Policies and PodRolls as what leaks: by workload and container, and in each by revision or image. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.policy import LedgerEntry
from memroll.model.revisions import revision_of_roll

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy

NOTABLE = 1.2
"""Slopes that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One revision's leak."""

    entry: LedgerEntry
    policy: str
    """Empty where only PodRolls tell of it: made by hand, or their policy is gone."""
    rolls: tuple[PodRoll, ...]
    """Those that still exist, the newest first."""

    @property
    def name(self) -> str:
        """What people tell it by."""
        revision, image = self.entry.revision, self.entry.image
        return f"{revision} ({image})" if revision and image else revision or image or "the only revision"

    @property
    def told(self) -> PodRoll | None:
        """The newest roll with evidence; one with a report of the pod before one without."""
        found = [r for r in self.rolls if r.status.evidence]
        reported = (r for r in found if r.status.evidence and r.status.evidence.probe)
        return next(reported, found[0] if found else None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much faster the newer of two revisions leaks."""

    newer: Leak
    older: Leak
    times: float


@dataclass(frozen=True, slots=True)
class Service:
    """One container of one workload."""

    namespace: str
    workload: str
    container: str
    leaks: tuple[Leak, ...]
    """One or more, the newest first."""

    def compared(self) -> Iterator[Comparison]:
        """Compare each revision with the one before it, where the growth of both is known."""
        known = [leak for leak in self.leaks if (leak.entry.growth_bytes_per_hour or 0) > 0]
        for newer, older in pairwise(known):
            times = (newer.entry.growth_bytes_per_hour or 0) / (older.entry.growth_bytes_per_hour or 1)
            yield Comparison(newer, older, times)


@dataclass(frozen=True, slots=True)
class Leaks:
    """All that was seen in a stretch of time."""

    now: datetime
    since: datetime
    services: tuple[Service, ...]
    """The fastest leak first."""


def leaks(policies: Iterable[MemoryPolicy], rolls: Iterable[PodRoll], now: datetime, back: timedelta) -> Leaks:
    """Return what was seen since then: the ledgers' entries, and what PodRolls alone tell of."""
    since = now - back
    unclaimed = sorted((r for r in rolls if r.created_at >= since), key=lambda r: r.created_at, reverse=True)
    found: dict[tuple[str, str, str], list[Leak]] = defaultdict(list)
    for policy in sorted(policies, key=lambda p: (p.namespace, p.name)):
        for entry in policy.status.ledger:
            own = tuple(r for r in unclaimed if r.spec.policy == policy.name and _is_of(r, policy.namespace, entry))
            unclaimed = [r for r in unclaimed if r not in own]
            if entry.last_seen >= since:
                found[policy.namespace, entry.workload, entry.container].append(Leak(entry, policy.name, own))
    for namespace, leak in _untold(unclaimed):
        found[namespace, leak.entry.workload, leak.entry.container].append(leak)
    services = [Service(*key, tuple(sorted(some, key=_newest))) for key, some in found.items()]
    return Leaks(now, since, tuple(sorted(services, key=_fastest)))


def _newest(leak: Leak) -> tuple[float, str]:
    return -leak.entry.first_seen.timestamp(), leak.name


def _fastest(service: Service) -> tuple[int, str, str, str]:
    growth = service.leaks[0].entry.growth_bytes_per_hour or 0
    return -growth, service.namespace, service.workload, service.container


def _is_of(roll: PodRoll, namespace: str, entry: LedgerEntry) -> bool:
    """Whether the ledger's entry is about the pod that was rolled: by its revision, else by its image."""
    finding, revision = roll.spec.finding, revision_of_roll(roll)
    if finding is None or (roll.namespace, str(roll.status.workload)) != (namespace, entry.workload):
        return False
    same = finding.image in ("", entry.image) if revision is None else revision == entry.revision
    return same and finding.container == entry.container


def _untold(rolls: Sequence[PodRoll]) -> Iterator[tuple[str, Leak]]:
    """Yield what no ledger holds, of pods that were rolled."""
    grouped: dict[tuple[str, str, str, str, str], list[PodRoll]] = defaultdict(list)
    for roll in rolls:
        container, image = _container(roll)
        if roll.status.phase is Phase.SUCCEEDED and roll.status.workload is not None and container:
            key = (roll.namespace, str(roll.status.workload), revision_of_roll(roll) or "", container, image)
            grouped[key].append(roll)
    for (namespace, workload, revision, container, image), some in grouped.items():
        yield namespace, Leak(_entry(workload, revision, container, image, some), "", tuple(some))


def _container(roll: PodRoll) -> tuple[str, str]:
    """Return container and image of a roll; of one by hand its evidence knows."""
    if roll.spec.finding is not None:
        return roll.spec.finding.container, roll.spec.finding.image
    series = roll.status.evidence.series if roll.status.evidence else None
    return (series.container, "") if series else ("", "")


def _entry(workload: str, revision: str, container: str, image: str, rolls: Sequence[PodRoll]) -> LedgerEntry:
    growth = [f.growth_bytes_per_hour for r in rolls if (f := r.spec.finding) and f.growth_bytes_per_hour is not None]
    return LedgerEntry(
        workload=workload,
        revision=revision[:63],
        container=container,
        image=image,
        growth_bytes_per_hour=growth[0] if growth else None,
        rolls=len(rolls),
        first_seen=rolls[-1].created_at,
        last_seen=rolls[0].created_at,
        first_rolled=rolls[-1].created_at,
    )
