"""Duration of a roll: measured from ended rolls, else estimated by the time the pod took to become Ready. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import DrainMode
from memroll.model.pod_names import WorkloadName, workload_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from memroll.api.pod_roll import PodRoll
    from memroll.api.roll_spec import DrainSpec
    from memroll.model.pods import Pod

ROLL_OVERHEAD_S = 10.0
"""Estimated duration of a roll in seconds without the time to become Ready, chosen by hand."""
ASSUMED_READY_S = 60.0
"""Assumed time to become Ready in seconds, of a pod that never was; chosen by hand."""
MEASURED_ROLLS = 5
"""Number of last successful rolls that are measured, chosen by hand."""


def longest_recent_s(rolls: Iterable[PodRoll]) -> float | None:
    """Return the longest of the last few successful rolls, in seconds; None if none has succeeded."""
    succeeded = sorted((r for r in rolls if r.status.phase is Phase.SUCCEEDED), key=lambda r: r.created_at)
    durations_s = [s for r in succeeded if (s := _duration_s(r)) is not None]
    return max(durations_s[-MEASURED_ROLLS:], default=None)


def estimate_s(pod: Pod, drain: DrainSpec) -> float:
    """Return the estimated duration of a roll of this pod, in seconds."""
    ready_s = ASSUMED_READY_S
    if pod.ready_at is not None:
        ready_s = max(0.0, (pod.ready_at - pod.created_at).total_seconds())
    return ready_s + ROLL_OVERHEAD_S + _max_drain_s(drain)


def _duration_s(roll: PodRoll) -> float | None:
    times = roll.status.times
    if times.announced is None or times.finished is None:
        return None
    return (times.finished - times.announced).total_seconds()


def _max_drain_s(drain: DrainSpec) -> float:
    """Return the maximum duration of the drain in seconds: the pod keeps leaking until it ends."""
    if drain.mode is DrainMode.NONE:
        return 0.0
    return (drain.min_duration if drain.until is None else drain.timeout).total_seconds()


@dataclass(frozen=True, slots=True)
class RollDurations:
    """Durations of a policy's rolls in seconds, computed once for each reconcile: measured, else estimated."""

    by_workload_s: Mapping[WorkloadName, float]
    """Measured durations, by `WorkloadName.peer_group`."""
    of_policy_s: float | None
    """Measured duration of the policy's rolls; None if none has succeeded."""
    drain: DrainSpec

    @classmethod
    def measure(cls, policy: str, drain: DrainSpec, rolls: Iterable[PodRoll]) -> RollDurations:
        """Measure the durations. `rolls`: those of the namespace; `policy`: the name of the policy."""
        rolls = tuple(rolls)
        grouped: dict[WorkloadName, list[PodRoll]] = defaultdict(list)
        for roll in rolls:
            ref = roll.status.workload or roll.spec.workload
            if ref is not None:
                grouped[WorkloadName(ref.kind, ref.name).peer_group].append(roll)
        measured = ((workload, longest_recent_s(own)) for workload, own in grouped.items())
        by_workload_s = {workload: duration_s for workload, duration_s in measured if duration_s is not None}
        return cls(by_workload_s, longest_recent_s(r for r in rolls if r.spec.policy == policy), drain)

    def of_pod_s(self, pod: Pod) -> float:
        """Return the duration of a roll of this pod: that of its workload, else of the policy, else an estimate."""
        workload = workload_of(pod)
        own_s = None if workload is None else self.by_workload_s.get(workload.peer_group)
        return own_s or self.of_policy_s or estimate_s(pod, self.drain)
