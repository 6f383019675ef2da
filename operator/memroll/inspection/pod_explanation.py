"""Explanation of one pod: its verdict with all checks, all gates in order, and what happens next.

`memroll explain` calls `explain_pod` and prints the result. Checks and gates are those of the operator, evaluated with
the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.policy import Mode
from memroll.api.quantity import humanize_duration
from memroll.clients.prometheus.query_plan import MAX_NAMES_BYTES, plan_read
from memroll.detection.assessment import describe_growth
from memroll.detection.explain import ExplainingAssessor
from memroll.detection.parameters import build_parameters
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import NotFoundError
from memroll.model.pod_names import workload_or_pod
from memroll.planning.candidate import Candidate
from memroll.planning.gate_result import Gate
from memroll.planning.plan import explain_candidate
from memroll.reconcile.examine import examine
from memroll.reconcile.selection import DirectPods, select_pods

if TYPE_CHECKING:
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assess import SampleReader
    from memroll.detection.assessment import Assessment
    from memroll.detection.explain import ContainerExplanation
    from memroll.inspection.operator_view import Inspected, NamespaceView
    from memroll.model.pods import Pod
    from memroll.planning.gate_result import GateResult
    from memroll.reconcile.plan_rolls import RollPlanner
    from memroll.reconcile.snapshot import PolicySnapshot

MAX_SIMILAR = 3
"""Maximum number of similar names in the message about a pod that does not exist; chosen by hand."""


@dataclass(frozen=True, slots=True)
class PodExplanation:
    """Explanation of a pod."""

    pod: Pod
    policy: MemoryPolicy
    workload: str
    assessments: tuple[Assessment, ...]
    """Verdicts of the watched containers."""
    containers: tuple[ContainerExplanation, ...]
    """Checks of those containers that have samples."""
    gates: dict[Gate, GateResult]
    """Results of all gates in order; none if the pod has no watched container."""
    next_step: str
    """Next step of the operator, as a sentence."""
    queries: tuple[str, ...]
    """Queries in PromQL that return the samples of the pod."""

    @property
    def blocking_gate(self) -> Gate | None:
        """First gate that blocks; None if none does."""
        return next((gate for gate, result in self.gates.items() if result.blocks), None)

    @property
    def would_roll(self) -> bool:
        """True if no gate blocks: the operator would roll the pod now, or in mode DryRun report it."""
        return bool(self.gates) and self.blocking_gate is None


async def explain_pod(
    view: NamespaceView, namespace: str, name: str, cluster: Inspected, samples: SampleReader
) -> PodExplanation:
    """Explain a pod; raise NotFoundError if it does not exist, or if no policy watches it."""
    pod = await cluster.get_pod(namespace, name)
    if pod is None:
        raise NotFoundError("NotFound", await _describe_missing(namespace, name, cluster))
    snapshot = await _find_snapshot(view, pod, cluster)
    found = await examine(snapshot, cluster, samples)
    watched = next((p for p in found.pods if p.key.uid == pod.key.uid), pod)
    assessor = ExplainingAssessor(snapshot.policy, found.pods, found.planner.context.roll_durations, snapshot.now)
    containers = await assessor.explain(samples, pod.key.uid)
    assessments = tuple(a for a in found.assessments if a.pod.key.uid == pod.key.uid)
    explained = await _explain_gates(found.planner, assessments)
    return PodExplanation(
        pod=watched,
        policy=snapshot.policy,
        workload=workload_or_pod(pod),
        assessments=assessments,
        containers=containers,
        gates=explained[1] if explained else {},
        next_step=_next_step(snapshot.policy, assessments, explained),
        queries=_queries(snapshot, pod),
    )


async def _describe_missing(namespace: str, name: str, cluster: Inspected) -> str:
    """Return the message about a pod that does not exist, with the most similar names."""
    names = [p.key.name for p in await cluster.list_pods(namespace, "")]
    similar = get_close_matches(name, names, MAX_SIMILAR) or [n for n in names if n.startswith(name)][:MAX_SIMILAR]
    hint = f". Did you mean {', '.join(similar)}?" if similar else ": check the name and -n"
    return f"there is no pod {name} in namespace {namespace}{hint}"


async def _find_snapshot(view: NamespaceView, pod: Pod, cluster: Inspected) -> PolicySnapshot:
    """Return the snapshot of the policy that the pod belongs to."""
    for policy in view.policies:
        snapshot = view.snapshot(policy)
        selection = await select_pods(snapshot, DirectPods(cluster))
        if any(p.key.uid == pod.key.uid for p in selection.pods):
            return snapshot
    names = ", ".join(p.name for p in view.policies)
    reason = f"none of the policies ({names}) selects it" if names else "the namespace has no policy"
    if view.invalid:
        reason = f"its policies are invalid: {', '.join(view.invalid)}" if not names else reason
    ended = " It has ended, or is being deleted." if pod.has_ended or pod.deleting else ""
    raise NotFoundError("NotWatched", f"memroll does not watch pod {pod.key.name}: {reason}.{ended}".rstrip("."))


async def _explain_gates(
    planner: RollPlanner, assessments: tuple[Assessment, ...]
) -> tuple[Candidate, dict[Gate, GateResult]] | None:
    """Return the pod as a candidate, and the results of all gates; None if it has no watched container.

    The plan is made as by the operator. Then what the operator reads only for pods that are due is read for this one as
    well, since all gates are evaluated. A pod that is not at risk is no candidate of the operator: the gates are
    evaluated as if it were the last one.
    """
    if not assessments:
        return None
    await planner.preview()
    uid = assessments[0].pod.key.uid
    if not any(c.pod.key.uid == uid for c in planner.candidates):
        nearest = min(assessments, key=lambda a: a.verdict.remaining_s)
        added = Candidate(nearest.pod, nearest.container.name, nearest.verdict, nearest.container.limit_bytes)
        planner.candidates = [*planner.candidates, added]
    await planner.complete([c for c in planner.candidates if c.pod.key.uid == uid])
    if planner.context.recent_rolls is None:
        await planner.count_rolls()
    return explain_candidate(planner.candidates, planner.context, uid)


def _next_step(
    policy: MemoryPolicy,
    assessments: tuple[Assessment, ...],
    explained: tuple[Candidate, dict[Gate, GateResult]] | None,
) -> str:
    again = f"the next reconcile is within {humanize_duration(policy.spec.interval.total_seconds())}"
    if policy.spec.suspend:
        return f"nothing: the policy is suspended; 'memroll resume {policy.name}' ends that"
    if explained is None:
        return f"nothing: the pod has no container that the policy watches; {again}"
    candidate, gates = explained
    blocking = next((item for item in gates.items() if item[1].blocks), None)
    at_risk = [a for a in assessments if a.verdict.is_at_risk]
    if not at_risk:
        return f"nothing: no container is at risk; {again}"
    if blocking is None and policy.spec.mode is Mode.DRY_RUN:
        return f"the next reconcile reports that the pod would be rolled (mode: DryRun): {describe_growth(at_risk[0])}"
    if blocking is None:
        return f"the next reconcile rolls the pod ({gates[Gate.UNSUPPORTED].observed}): {describe_growth(at_risk[0])}"
    gate, result = blocking
    start = candidate.latest_start
    when = f"; rolled at {rfc3339(start)} at the latest" if start is not None and gate is Gate.NOT_DUE else ""
    return f"gate {gate} blocks the roll: {result.message}{when}; {again}"


def _queries(snapshot: PolicySnapshot, pod: Pod) -> tuple[str, ...]:
    """Return the queries of the samples of this pod alone, without the labels that the connection adds."""
    parameters, load = build_parameters(snapshot.policy, None), snapshot.policy.spec.load
    names = frozenset(c.name for c in pod.containers)
    request = ReadRequest(
        pod.key.namespace,
        (pod.key.name,),
        SampleRange.for_window(parameters.lookback_s, parameters.window_s),
        snapshot.now.timestamp(),
        (),
        None if load is None else load.metric,
        detailed=(pod.key.name,),
        containers={pod.key.name: names & frozenset(snapshot.policy.spec.containers or names)},
    )
    return tuple(dict.fromkeys(query.expression for query in plan_read(request, {}, MAX_NAMES_BYTES)))
