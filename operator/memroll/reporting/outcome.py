"""Outcome of one reconcile of a policy: findings, plan and PodRolls.

`reconcile.policy` builds it; the policy's status, Events, metrics and log records are all derived from it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from memroll.errors import RetryableError
from memroll.planning.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from memroll.api.limit_suggestion import ObservedExit
    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.assessment import Assessment
    from memroll.errors import MemrollError
    from memroll.model.autoscalers import Autoscaler
    from memroll.model.pods import Pod
    from memroll.model.roll_record import RollRecord
    from memroll.planning.misconfiguration import Misconfiguration


NO_PLAN = Plan()
"""Plan of a reconcile that planned nothing."""


ExitKey = tuple[str, str, str]
"""Workload, revision and container of an exit."""


@dataclass(frozen=True, slots=True)
class MeasuredExit:
    """Exit of a container whose usage was read."""

    key: ExitKey
    observed: ObservedExit


class PodState(StrEnum):
    """State of a pod in counts, the most severe first. The value is that of the label `verdict` of `memroll_pods`."""

    AT_RISK = "at_risk"
    """It leaks, is about to reach its limit, or is above `usageThreshold`."""
    INCONCLUSIVE = "inconclusive"
    """There is not enough data for a verdict."""
    SUSPECTED = "suspected"
    """Its memory grows like a leak's, not yet confirmed."""
    HEALTHY = "healthy"
    """There is no sign of a leak."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one reconcile. With an error no pod is assessed and none is rolled."""

    policy: MemoryPolicy
    now: datetime
    watched_pods: int = 0
    """Number of pods that the policy watches."""
    assessments: tuple[Assessment, ...] = ()
    plan: Plan = NO_PLAN
    rolls: tuple[RollRecord, ...] = ()
    """The policy's PodRolls, including those created in this reconcile."""
    error: MemrollError | None = None
    measured_rolls: tuple[PodRoll, ...] = ()
    """PodRolls whose effect was measured in this reconcile, or settled as unknown."""
    misconfigurations: tuple[Misconfiguration, ...] | None = None
    """Settings of the policy that can't have their effect; None: not known, because its pods are not."""
    conflicting_pods: tuple[str, ...] = ()
    """Selected pods that belong to an older policy, each as "pod (policy)"."""
    suspended_owners: tuple[str, ...] = ()
    """Names of the older policies that keep these pods although they are suspended."""
    evicted_pods: tuple[Pod, ...] = ()
    """Ended pods that the kubelet evicted because their node was low on memory. They are not watched."""
    measured_exits: tuple[MeasuredExit, ...] = ()
    """Exits of containers whose usage was read in this reconcile."""
    autoscalers: tuple[Autoscaler, ...] | None = ()
    """Autoscalers of the workloads whose pods are at risk, suspected or being rolled; None: not known now."""

    def group_by_pod(self) -> Iterator[tuple[Pod, tuple[Assessment, ...]]]:
        """Yield each pod with the assessments of its containers."""
        grouped: dict[str, list[Assessment]] = defaultdict(list)
        for assessment in self.assessments:
            grouped[assessment.pod.key.uid].append(assessment)
        for group in grouped.values():
            yield group[0].pod, tuple(group)

    @property
    def retry_because(self) -> MemrollError | None:
        """Error after which to reconcile again before the interval ends; None: the next reconcile is not urgent."""
        creation_errors = (b.error for b in self.plan.blocked if isinstance(b.error, RetryableError))
        return self.error or next(creation_errors, None)

    @property
    def at_risk(self) -> tuple[Assessment, ...]:
        """Assessments of the containers at risk, the most urgent first: those that are due, then by time to limit.

        Those that are only reported are the last ones.
        """
        at_risk = (a for a in self.assessments if a.verdict.is_at_risk or a.is_reported_only)
        return tuple(sorted(at_risk, key=lambda a: (a.is_reported_only, not a.verdict.due, a.verdict.remaining_s)))


def state_of(assessments: Sequence[Assessment]) -> PodState:
    """Return the state of a pod: the most severe state of its containers."""
    states = {_container_state(a) for a in assessments}
    return next(state for state in PodState if state in states)


def _container_state(assessment: Assessment) -> PodState:
    verdict = assessment.verdict
    if verdict.is_at_risk or assessment.is_reported_only:
        return PodState.AT_RISK
    if verdict.is_inconclusive:
        return PodState.INCONCLUSIVE
    return PodState.SUSPECTED if verdict.is_suspected else PodState.HEALTHY
