"""Compare the effects of ended rolls: find the replacements that are old enough, read samples, write the results.

The Outcome of a reconcile goes in, and comes out with updated PodRolls; `controller.policy_controller` calls it, and
`rolling.effect` compares. No failure here fails the reconcile: the comparison is repeated in the next one.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from memroll.api import ROLL_PLURAL
from memroll.api.decode import decode_or_none
from memroll.api.pod_roll import Phase, PodRoll, RollEffect
from memroll.detection.container_history import build_history
from memroll.detection.parameters import build_parameters
from memroll.detection.pod_limit import add_other_containers, shares_limit
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import ConflictError, MemrollError, NotFoundError
from memroll.model.roll_record import RollRecord
from memroll.rolling.effect import (
    Comparison,
    ComparisonAges,
    compare,
    comparison_ages,
    due_age_s,
    mark_unknown,
    why_unmeasurable,
)
from memroll.rolling.retention import garbage_collectable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from memroll.detection.assess import SampleReader
    from memroll.detection.assessment import Assessment
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.samples import QueryResult, SeriesRow
    from memroll.reporting.outcome import Outcome
    from memroll.rolling.protocols import PodRollStore, StatusWriter

logger = logging.getLogger(__name__)

MAX_COMPARED = 4
"""Maximum number of rolls compared in one reconcile, chosen by hand: each takes up to two queries."""
_WITHOUT_SAMPLES = frozenset({VerdictReason.NO_DATA, VerdictReason.NO_RSS, VerdictReason.NOT_SCRAPED_YET})
"""Reasons of a verdict without samples to compare."""


@dataclass(frozen=True, slots=True)
class PendingComparison:
    """Roll whose replacement has reached an age at which the two pods are compared."""

    roll: PodRoll
    new: Assessment
    started: datetime
    """Start time of the replacement's container."""
    parameters: DetectionParameters
    ages: ComparisonAges
    age_s: float

    def query_time_s(self, now_s: float) -> float:
        """Return the query time: now, or the comparison age if it passed more than a window ago."""
        due_at_s = self.started.timestamp() + self.age_s
        return now_s if now_s - due_at_s <= self.parameters.window_s else due_at_s

    def old_started_s(self) -> float | None:
        """Return the start time of the old container."""
        trigger = self.roll.spec.trigger
        return trigger.container_started.timestamp() if trigger and trigger.container_started else None


EffectUpdate = tuple[PodRoll, RollEffect]


@dataclass(frozen=True, slots=True)
class UnmeasurableRoll:
    """Roll whose effect stays unknown, with the reason."""

    roll: RollRecord
    why: str


@dataclass(frozen=True, slots=True)
class DueComparison:
    """Roll that can be compared now, by its record. The PodRoll is read before that."""

    roll: RollRecord
    new: Assessment
    started: datetime
    parameters: DetectionParameters
    ages: ComparisonAges
    age_s: float

    def of(self, roll: PodRoll) -> PendingComparison:
        return PendingComparison(roll, self.new, self.started, self.parameters, self.ages, self.age_s)


async def compare_effects(outcome: Outcome, store: PodRollStore, samples: SampleReader) -> Outcome:
    """Compare a few replacements that are old enough, and write the effects into the PodRolls.

    The Outcome has records of the PodRolls; those that are compared or settled are read again.
    """
    if outcome.error is not None or outcome.policy.spec.suspend:
        return outcome
    updates: list[EffectUpdate] = []
    pending: list[PendingComparison] = []
    for item in islice(_pending(outcome), MAX_COMPARED):
        roll = await _read_unsettled(item.roll, store)
        if roll is not None and isinstance(item, DueComparison):
            pending.append(item.of(roll))
        elif roll is not None and isinstance(item, UnmeasurableRoll):
            updates.append((roll, mark_unknown(roll.status.effect, item.why, outcome.now)))
    updates += await _compare_all(pending, outcome, samples)
    written = [w for roll, effect in updates if (w := await _write(roll, effect, store)) is not None]
    changed = {w.uid: RollRecord.of(w) for w in written}
    return replace(
        outcome,
        rolls=tuple(changed.get(r.uid, r) for r in outcome.rolls),
        measured_rolls=tuple(w for w in written if w.status.effect and w.status.effect.compared_at),
    )


async def _read_unsettled(record: RollRecord, store: PodRollStore) -> PodRoll | None:
    """Read the PodRoll of a record; None if it is gone, has been settled meanwhile, or can't be read now."""
    try:
        roll = decode_or_none(await store.get_roll(record.namespace, record.name), PodRoll.read)
    except MemrollError as error:
        logger.warning("PodRoll %s/%s: its effect is compared later: %s", record.namespace, record.name, error)
        return None
    is_same = roll is not None and roll.uid == record.uid
    return roll if is_same and roll is not None and _is_unsettled(roll) else None


def _pending(outcome: Outcome) -> Iterator[DueComparison | UnmeasurableRoll]:
    """Yield the rolls to compare, and those that can be settled without samples; the newest of each workload first."""
    running = {(a.pod.key.uid, a.container.name): a for a in outcome.assessments}
    rolled_by = {r.pod_uid: r.name for r in outcome.rolls}
    deleted = {r.uid for r in garbage_collectable(outcome.rolls, outcome.now)}  # by this reconcile
    for roll in _newest_per_workload_first(r for r in outcome.rolls if _is_unsettled(r) and r.uid not in deleted):
        trigger, replacement = roll.spec.trigger, roll.status.replacement
        new = running.get((replacement.uid, trigger.container)) if trigger and replacement else None
        by = rolled_by.get(replacement.uid, "") if replacement else ""
        why = why_unmeasurable(roll, new.pod if new else None, new.container if new else None, by)
        if why:
            yield UnmeasurableRoll(roll, why)
        elif new is not None:
            comparison = _pending_comparison(roll, new, outcome)
            if comparison is not None:
                yield comparison


def _is_unsettled(roll: PodRoll | RollRecord) -> bool:
    effect = roll.status.effect
    return roll.status.phase is Phase.SUCCEEDED and (effect is None or effect.compared_at is None)


def _newest_per_workload_first(rolls: Iterable[RollRecord]) -> list[RollRecord]:
    newest = sorted(rolls, key=lambda r: r.status.times.finished or r.created_at, reverse=True)
    seen: Counter[str] = Counter()
    ranked = []
    for roll in newest:
        workload = str(roll.status.workload)
        ranked.append((seen[workload], roll))
        seen[workload] += 1
    return [roll for _, roll in sorted(ranked, key=lambda pair: pair[0])]


def _pending_comparison(roll: RollRecord, new: Assessment, outcome: Outcome) -> DueComparison | None:
    """Return the comparison that is due for this roll; None while its replacement is too young."""
    started = new.container.started_at
    if started is None:
        return None
    parameters = build_parameters(outcome.policy, new.container.limit_bytes)
    ages = comparison_ages(parameters, roll)
    age_s = due_age_s(ages, roll.status.effect, (outcome.now - started).total_seconds())
    if age_s is None:
        return None
    has_no_data = new.verdict.is_inconclusive and new.verdict.reason in _WITHOUT_SAMPLES
    if has_no_data and ages.growth_age_s is not None and age_s < ages.growth_age_s:
        return None  # this reconcile found no samples, but a later one may
    return DueComparison(roll, new, started, parameters, ages, age_s)


async def _compare_all(
    pending: Sequence[PendingComparison], outcome: Outcome, samples: SampleReader
) -> list[EffectUpdate]:
    """Compare the replacements with their predecessors; stop at the first failed query.

    The replacements are read together, then each old pod up to the same age.
    """
    updates = []
    by_time: dict[float, list[PendingComparison]] = defaultdict(list)
    for comparison in pending:
        by_time[comparison.query_time_s(outcome.now.timestamp())].append(comparison)
    try:
        for at_s, group in by_time.items():
            lookback_s = max(at_s - c.started.timestamp() for c in group)
            result = await _read(outcome, samples, [c.new.pod.key.name for c in group], lookback_s, at_s)
            for comparison in group:
                effect = await _compare(comparison, result, outcome, samples)
                if effect is not None and effect != comparison.roll.status.effect:
                    updates.append((comparison.roll, effect))
    except MemrollError as error:
        policy = outcome.policy
        logger.warning("policy %s/%s: effects are compared later: %s", policy.namespace, policy.name, error)
    return updates


async def _compare(
    pending: PendingComparison, result: QueryResult, outcome: Outcome, samples: SampleReader
) -> RollEffect | None:
    old = await _old_history(pending, outcome, samples)
    comparison = Comparison(_new_history(pending, result), old, pending.parameters, pending.ages, pending.age_s)
    return compare(pending.roll, comparison, outcome.now)


async def _read(
    outcome: Outcome, samples: SampleReader, pods: Sequence[str], lookback_s: float, at_s: float
) -> QueryResult:
    """Read the samples of the last `lookback_s` seconds before `at_s`, at the detector's resolution."""
    policy = outcome.policy
    span = SampleRange.for_window(lookback_s, policy.spec.growth.window.total_seconds())
    return await samples.read(policy.spec.prometheus, ReadRequest(policy.namespace, pods, span, at_s))


def _new_history(pending: PendingComparison, result: QueryResult) -> ContainerHistory | None:
    pod, container, started_s = pending.new.pod, pending.new.container, pending.started.timestamp()
    row = result.row_for(pod.key.name, container.name, container.id, started_s)
    return None if row is None else build_history(_with_pod(row, result, pending), started_s, container.limit_bytes)


def _with_pod(row: SeriesRow, result: QueryResult, pending: PendingComparison) -> SeriesRow:
    """Return the memory of the whole pod where its containers share a limit, as when the pod was due."""
    new = pending.new
    return add_other_containers(row, result.rows) if shares_limit(new.pod, new.container) else row


async def _old_history(pending: PendingComparison, outcome: Outcome, samples: SampleReader) -> ContainerHistory | None:
    """Return the samples of the old pod up to the comparison age; None if Prometheus has none."""
    started_s, trigger = pending.old_started_s(), pending.roll.spec.trigger
    if started_s is None or trigger is None:
        return None
    pod = pending.roll.spec.pod_name
    result = await _read(outcome, samples, [pod], pending.age_s, started_s + pending.age_s)
    row = _predecessor_row(result, pod, trigger.container, pending.new.container.id)
    return None if row is None else build_history(_with_pod(row, result, pending), started_s, trigger.limit_bytes)


def _predecessor_row(result: QueryResult, pod: str, container: str, new_id: str) -> SeriesRow | None:
    """Return the row of the old container. Its ID is not recorded: it is the container with the newest samples.

    The pods of a StatefulSet keep their names: the replacement's own ID is never the old one, and the predecessors of
    the old container have older samples.
    """
    rows = [r for r in result.rows if (r.pod, r.container) == (pod, container)]
    return max((r for r in rows if not r.container_id or r.container_id != new_id), key=_last_s, default=None)


def _last_s(row: SeriesRow) -> float:
    return row.last_s


async def _write(roll: PodRoll, effect: RollEffect, writer: StatusWriter) -> PodRoll | None:
    """Write the effect into the roll's status; None if that failed, and the comparison is repeated."""
    status = roll.status.model_copy(update={"effect": effect}).to_dict()
    try:
        raw = await writer.write_status(ROLL_PLURAL, roll.namespace, roll.name, roll.resource_version, status)
    except (ConflictError, NotFoundError):
        return None  # another client changed or deleted the PodRoll: the next reconcile reads it again
    except MemrollError as error:
        logger.warning("PodRoll %s/%s: its effect was not written: %s", roll.namespace, roll.name, error)
        return None
    return PodRoll.read(raw)
