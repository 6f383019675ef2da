"""Build the leak report from policies and PodRolls: leaks by workload and container, and by revision. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from memroll.api.leak_ledger import LedgerEntry
from memroll.api.pod_roll import Phase
from memroll.model.revisions import revision_of_roll

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy

MIN_NOTABLE_RATIO = 1.2
"""Minimum ratio of two revisions' growth that is reported as faster or slower; chosen by hand."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Leak of one revision."""

    entry: LedgerEntry
    policy: str
    """Name of the policy; empty for PodRolls without a ledger entry: created by hand, or their policy was deleted."""
    rolls: tuple[PodRoll, ...]
    """PodRolls of the revision that still exist, newest first."""

    @property
    def name(self) -> str:
        """Revision and image, as far as they are known."""
        revision, image = self.entry.revision, self.entry.image
        return f"{revision} ({image})" if revision and image else revision or image or "the only revision"

    @property
    def evidence_roll(self) -> PodRoll | None:
        """Newest roll with evidence; a roll with a probe report takes precedence."""
        with_evidence = [r for r in self.rolls if r.status.evidence]
        with_report = (r for r in with_evidence if r.status.evidence and r.status.evidence.probe)
        return next(with_report, with_evidence[0] if with_evidence else None)


@dataclass(frozen=True, slots=True)
class RevisionComparison:
    """Growth of a newer revision compared with an older one."""

    newer: Leak
    older: Leak
    ratio: float
    """Growth of the newer revision divided by that of the older one."""

    @property
    def is_notable(self) -> bool:
        """True if one of the revisions leaks faster."""
        return not 1 / MIN_NOTABLE_RATIO < self.ratio < MIN_NOTABLE_RATIO


@dataclass(frozen=True, slots=True)
class ServiceLeaks:
    """Leaks of one container of one workload."""

    namespace: str
    workload: str
    container: str
    leaks: tuple[Leak, ...]
    """Leaks by revision, newest first; at least one."""

    def compare_revisions(self) -> Iterator[RevisionComparison]:
        """Compare each revision with the previous one, if the growth of both is known."""
        known = [leak for leak in self.leaks if (leak.entry.growth_bytes_per_hour or 0) > 0]
        for newer, older in pairwise(known):
            ratio = (newer.entry.growth_bytes_per_hour or 0) / (older.entry.growth_bytes_per_hour or 1)
            yield RevisionComparison(newer, older, ratio)


@dataclass(frozen=True, slots=True)
class LeakReport:
    """Leaks observed in an interval."""

    now: datetime
    since: datetime
    services: tuple[ServiceLeaks, ...]
    """Services sorted by the growth of their newest revision, fastest first."""


def build_report(
    policies: Iterable[MemoryPolicy], rolls: Iterable[PodRoll], now: datetime, lookback: timedelta
) -> LeakReport:
    """Return the leaks observed since `now - lookback`: ledger entries, and PodRolls without one."""
    since = now - lookback
    unmatched = sorted((r for r in rolls if r.created_at >= since), key=lambda r: r.created_at, reverse=True)
    found: dict[tuple[str, str, str], list[Leak]] = defaultdict(list)
    for policy in sorted(policies, key=lambda p: (p.namespace, p.name)):
        for entry in policy.status.ledger:
            own = tuple(
                r for r in unmatched if r.spec.policy == policy.name and _belongs_to(r, policy.namespace, entry)
            )
            unmatched = [r for r in unmatched if r not in own]
            if entry.last_seen >= since:
                found[policy.namespace, entry.workload, entry.container].append(Leak(entry, policy.name, own))
    for namespace, leak in _leaks_without_ledger_entry(unmatched):
        found[namespace, leak.entry.workload, leak.entry.container].append(leak)
    services = [ServiceLeaks(*key, tuple(sorted(some, key=_newest))) for key, some in found.items()]
    return LeakReport(now, since, tuple(sorted(services, key=_fastest)))


def _newest(leak: Leak) -> tuple[float, str]:
    return -leak.entry.first_seen.timestamp(), leak.name


def _fastest(service: ServiceLeaks) -> tuple[int, str, str, str]:
    growth = service.leaks[0].entry.growth_bytes_per_hour or 0
    return -growth, service.namespace, service.workload, service.container


def _belongs_to(roll: PodRoll, namespace: str, entry: LedgerEntry) -> bool:
    """Return whether a roll belongs to a ledger entry: by the pod's revision, otherwise by its image."""
    trigger, revision = roll.spec.trigger, revision_of_roll(roll)
    if trigger is None or (roll.namespace, str(roll.status.workload)) != (namespace, entry.workload):
        return False
    same = trigger.image in ("", entry.image) if revision is None else revision == entry.revision
    return same and trigger.container == entry.container


def _leaks_without_ledger_entry(rolls: Sequence[PodRoll]) -> Iterator[tuple[str, Leak]]:
    """Yield namespace and leak for successful rolls without a ledger entry."""
    grouped: dict[tuple[str, str, str, str, str], list[PodRoll]] = defaultdict(list)
    for roll in rolls:
        container, image = _container(roll)
        if roll.status.phase is Phase.SUCCEEDED and roll.status.workload is not None and container:
            key = (roll.namespace, str(roll.status.workload), revision_of_roll(roll) or "", container, image)
            grouped[key].append(roll)
    for (namespace, workload, revision, container, image), some in grouped.items():
        yield namespace, Leak(_entry(workload, revision, container, image, some), "", tuple(some))


def _container(roll: PodRoll) -> tuple[str, str]:
    """Return container and image of a roll. A roll created by hand has no trigger, so its evidence is used."""
    if roll.spec.trigger is not None:
        return roll.spec.trigger.container, roll.spec.trigger.image
    series = roll.status.evidence.series if roll.status.evidence else None
    return (series.container, "") if series else ("", "")


def _entry(workload: str, revision: str, container: str, image: str, rolls: Sequence[PodRoll]) -> LedgerEntry:
    growth = [f.growth_bytes_per_hour for r in rolls if (f := r.spec.trigger) and f.growth_bytes_per_hour is not None]
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
