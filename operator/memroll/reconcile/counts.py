"""Counts that the gates need: current PodRolls, healthy pods, and watched pods of the namespace."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memroll.api.decode import decode_or_none
from memroll.model.roll_record import RollRecord
from memroll.planning.rate_limit import PERIOD, CountedRoll, RecentRolls, count_recent_rolls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assessment import Assessment
    from memroll.reconcile.snapshot import PolicySnapshot
    from memroll.rolling.protocols import PodRollReader


async def count_pod_rolls(snapshot: PolicySnapshot, store: PodRollReader) -> tuple[tuple[RollRecord, ...], RecentRolls]:
    """Return the PodRolls of the policy's namespace, and those of all namespaces that count for the rate limit.

    The PodRolls are read again, under the planning lock: since the snapshot another reconcile may have created some.
    Only records are kept of the pages: all PodRolls of a cluster may have more evidence than there is memory.
    """
    own, source = snapshot.policy.namespace, snapshot.roll_source
    namespaces = sorted({*snapshot.namespaces, own}) if snapshot.namespaces else [""]
    rolls: list[RollRecord] = []
    counted: list[CountedRoll] = []
    for namespace in namespaces:
        async for item in store.iterate_rolls(namespace) if source is None else source.iterate(namespace):
            read = item if isinstance(item, RollRecord) else _read(item, own, snapshot.now)
            if isinstance(read, RollRecord) and read.namespace == own:
                rolls.append(read)  # invalid ones were logged when the snapshot was built
            counted += _counted(read)
    recent = count_recent_rolls(counted, own, snapshot.now, snapshot.rate_limit)
    return tuple(rolls), replace(recent, due_elsewhere=snapshot.is_due_elsewhere())


def _read(raw: dict[str, Any], own: str, now: datetime) -> RollRecord | CountedRoll | None:
    """Decode a PodRoll; None for an old one of another namespace, which counts for nothing.

    One that is invalid counts in its own namespace; without a valid time, a PodRoll is new.
    """
    namespace, created_at = raw["metadata"]["namespace"], _created_at(raw, now)
    if namespace != own and created_at <= now - PERIOD:
        return None
    record = decode_or_none(raw, RollRecord.read)
    if record is None:
        return CountedRoll(namespace, created_at, counts_elsewhere=False)
    return replace(record, created_at=created_at)


def _counted(roll: RollRecord | CountedRoll | None) -> Iterator[CountedRoll]:
    """Yield what counts for the rate limit within its period: not what ended before anything was changed."""
    if isinstance(roll, CountedRoll):
        yield roll
    elif roll is not None and not roll.has_ended_unchanged:
        yield CountedRoll(roll.namespace, roll.created_at, counts_elsewhere=bool(roll.spec.policy))


def healthy_pods(policy: MemoryPolicy, assessments: Iterable[Assessment], now: datetime) -> frozenset[str]:
    """Return the uids of the pods all of whose watched containers are healthy and past their warm-up."""
    healthy: dict[str, bool] = {}
    for a in assessments:
        started, uid = a.container.started_at, a.pod.key.uid
        is_warm = started is not None and now - started >= policy.spec.growth.warm_up
        is_healthy = is_warm and a.verdict.is_healthy
        healthy[uid] = healthy.get(uid, True) and is_healthy
    return frozenset(uid for uid, is_healthy in healthy.items() if is_healthy)


def count_watched_pods(snapshot: PolicySnapshot, own: int) -> int:
    """Return the number of watched pods of the namespace: the policy's own, and those in the others' last status."""
    return own + sum(other.watched_pods for other in snapshot.others)


def _created_at(raw: dict[str, Any], now: datetime) -> datetime:
    """Return the creation time of a PodRoll; one without a valid time counts as new."""
    try:
        created = datetime.fromisoformat(raw["metadata"]["creationTimestamp"])
    except (KeyError, TypeError, ValueError):
        return now
    return created if created.tzinfo else now
