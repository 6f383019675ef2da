"""Scan of a cluster: assess every container by the operator's detector with the defaults of a policy.

`memroll scan` calls `scan_cluster` and prints the result. Nothing needs to be installed, and nothing is written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from memroll.detection.assess import Assessor
from memroll.detection.effective_limit import with_effective_limits
from memroll.detection.verdict import Verdict
from memroll.inspection.scan_result import Finding, NotAssessed, ScanResult
from memroll.model.pod_names import WorkloadName, workload_of
from memroll.model.revisions import revision_of
from memroll.model.roll_duration import RollDurations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from datetime import datetime

    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assess import SampleReader
    from memroll.detection.assessment import Assessment
    from memroll.model.pods import Pod

CONNECTION = "scan"
"""Name of the connection that the assessed policies refer to."""
SEVERITY = (Verdict.EXHAUSTING, Verdict.LEAKING, Verdict.SUSPECTED, Verdict.HEALTHY, Verdict.INCONCLUSIVE)
"""Verdicts, the worst first."""


class PodLister(Protocol):
    """Role of the Kubernetes API that a scan needs."""

    def iterate_pods(self, namespace: str, selector: str) -> AsyncIterator[Pod]: ...


@dataclass(frozen=True, slots=True)
class ScanScope:
    """Pods to scan, and the policy that they are assessed by."""

    policy: MemoryPolicy
    """Only its detection settings are used."""
    namespace: str = ""
    """Empty: all namespaces."""
    selector: str = ""


async def scan_cluster(
    cluster: PodLister,
    prometheus: SampleReader,
    scope: ScanScope,
    now: datetime,
    progress: Callable[[int], None] = lambda _: None,
) -> ScanResult:
    """Assess every container of the running pods; raise MemrollError if pods or samples can't be read.

    `progress` is called with the percentage of the pods that are assessed. The samples of one namespace are dropped
    before those of the next one are read.
    """
    by_namespace = await _running_pods(cluster, scope)
    total, done = sum(map(len, by_namespace.values())), 0
    findings: list[Finding] = []
    not_assessed: Counter[tuple[str, str]] = Counter()
    containers = 0
    for namespace, pods in sorted(by_namespace.items()):
        assessments = await _assess(namespace, pods, prometheus, scope.policy, now)
        containers += len(assessments)
        findings += _findings(assessments)
        not_assessed.update((namespace, a.verdict.reason) for a in assessments if a.verdict.is_inconclusive)
        done += len(pods)
        progress(100 * done // total)
    return ScanResult(
        now=now,
        namespaces=len(by_namespace),
        pods=total,
        containers=containers,
        findings=tuple(sorted(findings, key=_rank)),
        not_assessed=tuple(NotAssessed(*key, count) for key, count in sorted(not_assessed.items())),
    )


async def _running_pods(cluster: PodLister, scope: ScanScope) -> dict[str, list[Pod]]:
    found: dict[str, list[Pod]] = defaultdict(list)
    async for pod in cluster.iterate_pods(scope.namespace, scope.selector):
        if not pod.has_ended and not pod.deleting:
            found[pod.key.namespace].append(pod)
    return found


async def _assess(
    namespace: str, pods: Sequence[Pod], prometheus: SampleReader, template: MemoryPolicy, now: datetime
) -> tuple[Assessment, ...]:
    """Assess the containers of a namespace, as a policy that selects all its pods would."""
    spec = template.spec.model_copy(update={"prometheus": CONNECTION})
    policy = template.model_copy(update={"namespace": namespace, "spec": spec})
    limited = with_effective_limits(pods, spec)
    durations = RollDurations.measure(policy.name, spec.roll.drain, (), limited)
    return await Assessor(policy, limited, durations, now).assess(prometheus)


def _findings(assessments: Iterable[Assessment]) -> Iterable[Finding]:
    """Return a finding for each container of each workload: that of its pod with the worst verdict."""
    groups: dict[tuple[WorkloadName, str], list[Assessment]] = defaultdict(list)
    for a in assessments:
        workload = workload_of(a.pod) or WorkloadName("Pod", a.pod.key.name)
        groups[workload, a.container.name].append(a)
    for (workload, _), group in groups.items():
        yield _finding(workload, min(group, key=_urgency), group)


def _urgency(a: Assessment) -> tuple[bool, int, float, float]:
    ratio = (a.verdict.usage_bytes or 0.0) / (a.container.limit_bytes or float("inf"))
    return not a.verdict.is_at_risk, SEVERITY.index(a.verdict.verdict), a.verdict.remaining_s, -ratio


def _finding(workload: WorkloadName, worst: Assessment, group: Sequence[Assessment]) -> Finding:
    verdict, container = worst.verdict, worst.container
    trend = verdict.trend
    return Finding(
        namespace=worst.pod.key.namespace,
        workload=workload,
        controller=worst.pod.controller,
        container=container.name,
        pod=worst.pod.key.name,
        verdict=verdict.verdict,
        is_at_risk=verdict.is_at_risk,
        message=worst.message,
        usage_bytes=verdict.usage_bytes,
        limit_bytes=container.limit_bytes,
        growth_bytes_per_s=None if trend is None else trend.slope_bytes_per_s,
        time_to_limit_s=verdict.time_to_limit_s,
        started_at=container.started_at,
        revision=revision_of(worst.pod),
        image=container.image,
        pods=len(group),
        pods_at_risk=sum(a.verdict.is_at_risk for a in group),
        oom_killed_pods=sum(a.container.oom_killed_at is not None for a in group),
    )


def _rank(found: Finding) -> tuple[bool, int, float, int, str, str, str]:
    remaining_s = float("inf") if found.time_to_limit_s is None else found.time_to_limit_s
    severity = SEVERITY.index(found.verdict)
    name = (found.namespace, str(found.workload), found.container)
    return not found.is_at_risk, severity, remaining_s, -found.oom_killed_pods, *name
