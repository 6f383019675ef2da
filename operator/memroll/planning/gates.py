"""Gates: named checks of a candidate, evaluated in the order of `GATES`; the first one that blocks is reported.

`plan` calls `first_blocking_gate` for each candidate. A gate is a pure function of the candidate and the context and
does not depend on other gates. The gates of the pod and of its policy are defined here, the gates that limit the rate
of rolls in `rate_gates`, the gate that compares memory before and after earlier rolls in `effectiveness_gate`.
`Gate` documents each gate.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.policy import Mode
from memroll.api.quantity import humanize_duration
from memroll.api.roll_spec import Strategy
from memroll.model.pods import ROLL_ANNOTATION
from memroll.planning import holds, rate_gates
from memroll.planning.effectiveness_gate import check_effectiveness
from memroll.planning.gate_result import NONE, Gate, GateResult, evaluate
from memroll.planning.plan_index import index_of
from memroll.rolling.do_not_disrupt import do_not_disrupt
from memroll.rolling.strategy import Unsupported
from memroll.rolling.strategy_choice import choose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.planning.candidate import Candidate, Context
    from memroll.planning.gate_result import GateFunction


def check_policy_active(_: Candidate, context: Context) -> GateResult:
    """Block if the policy is suspended."""
    suspended = context.spec.suspend
    message = "the policy is suspended" if suspended else ""
    return GateResult(message, f"suspend: {str(suspended).lower()}", "suspend: false")


def check_mode(_: Candidate, context: Context) -> GateResult:
    """Block if the policy only observes."""
    mode = context.spec.mode
    message = "the policy only observes (mode: Observe)" if mode is Mode.OBSERVE else ""
    return GateResult(message, f"mode: {mode}", f"mode: {Mode.ENFORCE} or {Mode.DRY_RUN}")


def check_leader(_: Candidate, context: Context) -> GateResult:
    """Block if this process is not the leader."""
    message = "" if context.is_leader else "this process does not hold the Lease: another replica rolls the pods"
    return GateResult(message, "leader" if context.is_leader else "standby", "leader")


def check_not_terminating(candidate: Candidate, _: Context) -> GateResult:
    """Block if the pod is being deleted."""
    terminating = candidate.pod.deleting
    message = "the pod is already being deleted" if terminating else ""
    return GateResult(message, "terminating" if terminating else "not terminating", "not terminating")


def check_not_released(candidate: Candidate, context: Context) -> GateResult:
    """Block if a roll has released the pod."""
    name = candidate.pod.annotations.get(ROLL_ANNOTATION, NONE)
    message = ""
    if candidate.pod.released:
        in_progress = name in index_of(context).active_names
        message = f"PodRoll {name} has released the pod"
        message += "" if in_progress else " and has ended: the pod is restored or evicted once its workload permits"
    return GateResult(message, name, NONE)


def check_no_roll_in_progress(candidate: Candidate, context: Context) -> GateResult:
    """Block if a PodRoll of the pod has not ended."""
    uid = candidate.pod.key.uid
    name = index_of(context).active_by_pod.get(uid, "")
    return GateResult(f"PodRoll {name} is in progress" if name else "", name or NONE, NONE)


def check_no_dry_run(candidate: Candidate, context: Context) -> GateResult:
    """Block if the policy is in mode DryRun and would have rolled the pod since its container started."""
    at = context.dry_runs.get(candidate.pod.key.uid)
    started = next((c.started_at for c in candidate.pod.containers if c.name == candidate.container), None)
    if at is None or (started is not None and started > at):
        return GateResult("", NONE, NONE)
    return GateResult(f"the pod would have been rolled at {rfc3339(at)} (mode: DryRun)", rfc3339(at), NONE)


def check_due(candidate: Candidate, _: Context) -> GateResult:
    """Block if the pod needs not be rolled yet."""
    left, lead = candidate.verdict.time_to_limit_s, candidate.verdict.lead_time_s
    observed = f"{humanize_duration(left)} to the limit" if left is not None else "no memory limit"
    required = f"at most {humanize_duration(lead)} to the limit" if lead is not None else "a deadline"
    return GateResult("" if candidate.due else _why_not_due(candidate), observed, required)


def _why_not_due(candidate: Candidate) -> str:
    left, lead = candidate.verdict.time_to_limit_s, candidate.verdict.lead_time_s
    if left is None:
        return "not due: without a memory limit there is no deadline"
    if lead is None or left <= lead:
        return f"not due: {candidate.verdict.message}"
    start = f", or at {rfc3339(candidate.latest_start)}" if candidate.latest_start is not None else ""
    return f"not due: {humanize_duration(left)} to the limit, rolled when {humanize_duration(lead)} are left{start}"


def check_disruption_allowed(candidate: Candidate, context: Context) -> GateResult:
    """Block if an annotation protects the pod, its workload or its namespace."""
    message = do_not_disrupt(candidate.pod, candidate.workload, context.namespace_annotations, context.now)
    return GateResult(message, message or NONE, NONE)


def check_ready(candidate: Candidate, context: Context) -> GateResult:
    """Block if the pod is not Ready, unless the policy has it evicted near its limit."""
    pod = candidate.pod
    message = holds.describe(holds.readiness_hold(candidate, context), candidate, context)
    return GateResult(message, "Ready" if pod.ready else f"{pod.phase}, not Ready", "Ready")


def check_strategy(candidate: Candidate, context: Context) -> GateResult:
    """Block if no strategy can replace the pod."""
    if candidate.unreadable_because:
        return GateResult(candidate.unreadable_because, "unknown workload", "a strategy")
    permissions = context.permissions
    requested = Strategy.EVICT if candidate.evicted_because else context.spec.roll.strategy
    choice = choose(requested, candidate.pod, candidate.workload, permissions, candidate.hash_selector)
    if isinstance(choice, Unsupported):
        return GateResult(choice.reason, "no strategy", "a strategy")
    return GateResult("", f"{choice.strategy}: {choice.reason}", "a strategy")


def check_no_rollout(candidate: Candidate, context: Context) -> GateResult:
    """Block if the workload is being rolled out, unless the policy has the pod evicted near its limit."""
    hold = holds.rollout_hold(candidate, context)
    return GateResult(holds.describe(hold, candidate, context), hold.cause if hold else NONE, NONE)


GATES: Mapping[Gate, GateFunction] = MappingProxyType(
    {
        Gate.POLICY_SUSPENDED: check_policy_active,
        Gate.OBSERVE_ONLY: check_mode,
        Gate.NOT_LEADER: check_leader,
        Gate.POD_TERMINATING: check_not_terminating,
        Gate.POD_RELEASED: check_not_released,
        Gate.ROLL_IN_PROGRESS: check_no_roll_in_progress,
        Gate.DRY_RUN: check_no_dry_run,
        Gate.NOT_DUE: check_due,
        Gate.DO_NOT_DISRUPT: check_disruption_allowed,
        Gate.POD_NOT_READY: check_ready,
        Gate.UNSUPPORTED: check_strategy,
        Gate.ROLLOUT_IN_PROGRESS: check_no_rollout,
        Gate.CONCURRENCY: rate_gates.check_concurrency,
        Gate.COOLDOWN: rate_gates.check_cooldown,
        Gate.FAILURE_BACKOFF: rate_gates.check_failure_backoff,
        Gate.BUDGET: rate_gates.check_budgets,
        Gate.OUTSIDE_MAINTENANCE_WINDOW: rate_gates.check_maintenance_window,
        Gate.RATE_LIMITED: rate_gates.check_rate_limit,
        Gate.CANARY_PENDING: rate_gates.check_canary,
        Gate.INEFFECTIVE: check_effectiveness,
    }
)
"""The gates in order of evaluation. `Gate.POD_ROLL_NOT_CREATED` has no function: the API server finds it out."""


def first_blocking_gate(candidate: Candidate, context: Context) -> tuple[Gate, str] | None:
    """Return the first gate that blocks, with its message, or None; later gates are not evaluated."""
    results = ((gate, evaluate(function, candidate, context)) for gate, function in GATES.items())
    return next(((gate, result.message) for gate, result in results if result.blocks), None)


def also_blocking(candidate: Candidate, context: Context, first: Gate) -> tuple[Gate, ...]:
    """Return the gates that block as well as the first one; only for a pod that is due, whose workload is known."""
    return tuple(gate for gate, result in explain(candidate, context).items() if result.blocks and gate is not first)


def explain(candidate: Candidate, context: Context) -> dict[Gate, GateResult]:
    """Return the results of all gates, also of those after the first that blocks. The candidate needs its workload."""
    return {gate: evaluate(function, candidate, context) for gate, function in GATES.items()}
