"""Mode DryRun: the rolls of a plan become blocked pods, and count for later plans as if they had been made. Pure.

`reconcile.plan_rolls` calls `as_dry_run` where PodRolls would be created; `reporting.dry_runs` keeps the record in the
policy's status, which `reconcile.examine` puts into the context of the gates again. Design note 0033.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memroll.api.pod_roll import EffectResult, Phase
from memroll.api.policy import Mode
from memroll.model.roll_record import RecordedEffect, RecordedSpec, RecordedStatus, RecordedTimes, RollRecord
from memroll.planning.gate_result import Gate
from memroll.planning.plan import Blocked, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from memroll.api.dry_run import DryRun
    from memroll.api.policy import MemoryPolicy

WOULD_ROLL = "no gate blocks: the pod would be rolled now (mode: DryRun)"
"""Message of the gate DryRun at the reconcile that records the roll."""


def as_dry_run(plan: Plan) -> Plan:
    """Return the plan with its rolls as dry runs, which the gate DryRun blocks."""
    blocked = tuple(Blocked(c, Gate.DRY_RUN, WOULD_ROLL) for c in plan.rolls)
    return replace(plan, rolls=(), dry_runs=plan.rolls, blocked=(*blocked, *plan.blocked))


def dry_run_times(policy: MemoryPolicy) -> Mapping[str, datetime]:
    """Return the time of the newest dry run of each pod, by its UID; none in the other modes."""
    times: dict[str, datetime] = {}
    for entry in _entries(policy):
        times[entry.pod_uid] = max(entry.time, times.get(entry.pod_uid, entry.time))
    return times


def dry_run_records(policy: MemoryPolicy) -> tuple[RollRecord, ...]:
    """Return a record of each dry run, as if it had succeeded at once; none in the other modes."""
    return tuple(_record(policy, entry) for entry in _entries(policy))


def _entries(policy: MemoryPolicy) -> tuple[DryRun, ...]:
    return policy.status.dry_runs if policy.spec.mode is Mode.DRY_RUN else ()


def _record(policy: MemoryPolicy, entry: DryRun) -> RollRecord:
    """Return the record of a dry run. Its effect counts as good: nothing was changed that could be compared."""
    status = RecordedStatus(
        phase=Phase.SUCCEEDED,
        strategy=None,
        workload=entry.workload,
        replacement=None,
        effect=RecordedEffect(EffectResult.EFFECTIVE, None, None, entry.time),
        report=None,
        times=RecordedTimes(entry.time, entry.time),
    )
    return RollRecord(
        namespace=policy.namespace,
        name=f"{entry.pod} (dry run)",
        uid=f"dry-run-{entry.pod_uid}",
        resource_version="",
        generation=1,
        deleting=False,
        created_at=entry.time,
        pod_uid=entry.pod_uid,
        spec=RecordedSpec(entry.pod, policy.name, entry.workload, entry.reason, None),
        status=status,
        has_used_budget=True,
        has_ended_unchanged=False,
        revision=None,
        duration_s=None,
    )
