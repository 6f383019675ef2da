"""Duration of a roll: measured from ended rolls, else estimated by the time the pod took to become Ready. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.roll_spec import DrainMode
from memroll.model.pod_names import WorkloadName, workload_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from memroll.api.pod_roll import PodRoll
    from memroll.api.roll_spec import DrainSpec
    from memroll.model.pods import Pod
    from memroll.model.roll_record import RollRecord

ROLL_OVERHEAD_S = 10.0
"""Estimated duration of a roll in seconds without the time to become Ready, chosen by hand."""
ASSUMED_READY_S = 60.0
"""Assumed time to become Ready in seconds, of a pod that never was; chosen by hand."""
MAX_START_S = 3600.0
"""Maximum time from a start to Ready in seconds that counts as the time to become Ready. Chosen by hand: model servers
take up to half an hour."""
MEASURED_ROLLS = 5
"""Number of last successful rolls that are measured, chosen by hand."""
MAX_TIMEOUTS = 2
"""Maximum duration of one measured roll, in replacement timeouts: one for its replacement, one for its eviction. A roll
that hung for longer (on a node that was down, for example) is no measure of the next one. Chosen by hand."""


def longest_recent_s(rolls: Iterable[RollRecord]) -> float | None:
    """Return the longest of the last few successful rolls, in seconds; None if none has succeeded."""
    succeeded = sorted((r for r in rolls if r.status.phase is Phase.SUCCEEDED), key=lambda r: r.created_at)
    durations_s = [r.duration_s for r in succeeded if r.duration_s is not None]
    return max(durations_s[-MEASURED_ROLLS:], default=None)


def estimate_s(start_s: float | None, drain: DrainSpec) -> float:
    """Return the estimated duration of a roll, in seconds. `start_s`: the time to become Ready, if known."""
    return (ASSUMED_READY_S if start_s is None else start_s) + ROLL_OVERHEAD_S + _max_drain_s(drain)


@dataclass(frozen=True, slots=True)
class StartTime:
    """Times to become Ready in seconds, by what they are counted from; None: not known.

    A container that restarts in place finds its image and its data on the node, which a replacement may have to
    download. So the two kinds are never compared with each other.
    """

    created_s: float | None = None
    """Counted from the creation of a pod, as a replacement starts."""
    restarted_s: float | None = None
    """Counted from the restart of a container."""

    @property
    def seconds(self) -> float | None:
        """The best known time: the one after a restart only if no other is known."""
        return self.restarted_s if self.created_s is None else self.created_s

    def shorter(self, other: StartTime) -> StartTime:
        """Return the shorter time of each kind."""
        return StartTime(_shorter_s(self.created_s, other.created_s), _shorter_s(self.restarted_s, other.restarted_s))


UNKNOWN_START = StartTime()


def _shorter_s(*seconds: float | None) -> float | None:
    return min((s for s in seconds if s is not None), default=None)


def start_time(pod: Pod) -> StartTime:
    """Return the time that a pod took to become Ready; unknown if it is not Ready.

    The API server has only the last change of Ready. After a restart of a container the time since that restart counts;
    if Ready changed long after every start (the node was not Ready, the kubelet was restarted), the time is not known.
    """
    if pod.ready_at is None:
        return UNKNOWN_START
    restarted = [c.started_at or pod.created_at for c in pod.containers if c.restarts]
    start_s = (pod.ready_at - max((pod.created_at, *restarted))).total_seconds()
    if start_s > MAX_START_S:
        return UNKNOWN_START
    start_s = max(0.0, start_s)
    return StartTime(restarted_s=start_s) if restarted else StartTime(created_s=start_s)


class StartTimes:
    """Start times that were seen of the pods of one policy: the shortest one of each kind of each pod.

    Ready changes again when a probe fails once, the node is not Ready or a container restarts; the API server then has
    only that change. The times seen before are kept for as long as the pod exists. They get lost with the process.
    """

    def __init__(self) -> None:
        self._by_uid: dict[str, StartTime] = {}

    def update(self, pods: Iterable[Pod]) -> None:
        """Take the current pods: record their start times, and forget all other pods."""
        self._by_uid = {pod.key.uid: self.of(pod) for pod in pods}

    def of(self, pod: Pod) -> StartTime:
        """Return the shortest start time seen of a pod."""
        return start_time(pod).shorter(self._by_uid.get(pod.key.uid, UNKNOWN_START))


def _start_times_s(pods: Iterable[Pod], seen: StartTimes) -> dict[WorkloadName, float]:
    """Return the shortest start time of each workload, in seconds, by `WorkloadName.peer_group`."""
    shortest: dict[WorkloadName, StartTime] = defaultdict(StartTime)
    for pod in pods:
        workload = workload_of(pod)
        if workload is not None:
            shortest[workload.peer_group] = shortest[workload.peer_group].shorter(seen.of(pod))
    return {group: found.seconds for group, found in shortest.items() if found.seconds is not None}


def measured_duration_s(roll: PodRoll) -> float | None:
    """Return the duration of an ended roll in seconds, at most that of one that went as it should."""
    times, spec = roll.status.times, roll.spec
    if times.announced is None or times.finished is None:
        return None
    max_s = MAX_TIMEOUTS * spec.replacement_timeout_seconds + _max_drain_s(spec.drain)
    return min((times.finished - times.announced).total_seconds(), max_s)


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
    start_by_workload_s: Mapping[WorkloadName, float] = field(default_factory=dict)
    """Time that pods take to become Ready, by `WorkloadName.peer_group`: the shortest of the watched pods."""

    @classmethod
    def measure(
        cls,
        policy: str,
        drain: DrainSpec,
        rolls: Iterable[RollRecord],
        pods: Iterable[Pod] = (),
        seen: StartTimes | None = None,
    ) -> RollDurations:
        """Measure the durations.

        `policy`: the name of the policy; `rolls`: those of the namespace; `pods`: those that the policy watches;
        `seen`: their start times in earlier reconciles.
        """
        rolls, pods, seen = tuple(rolls), tuple(pods), seen or StartTimes()
        seen.update(pods)
        grouped: dict[WorkloadName, list[RollRecord]] = defaultdict(list)
        for roll in rolls:
            ref = roll.status.workload or roll.spec.workload
            if ref is not None:
                grouped[WorkloadName(ref.kind, ref.name).peer_group].append(roll)
        measured = ((workload, longest_recent_s(own)) for workload, own in grouped.items())
        by_workload_s = {workload: duration_s for workload, duration_s in measured if duration_s is not None}
        of_policy_s = longest_recent_s(r for r in rolls if r.spec.policy == policy)
        return cls(by_workload_s, of_policy_s, drain, _start_times_s(pods, seen))

    def of_pod_s(self, pod: Pod) -> float:
        """Return the duration of a roll of this pod: that of its workload, else of the policy, else an estimate."""
        workload = workload_of(pod)
        own_s = None if workload is None else self.by_workload_s.get(workload.peer_group)
        measured_s = own_s or self.of_policy_s
        if measured_s:
            return measured_s
        known_s = self.known_start_s(pod)
        return estimate_s(start_time(pod).seconds if known_s is None else known_s, self.drain)

    def known_start_s(self, pod: Pod) -> float | None:
        """Return the time that pods of this pod's workload take to become Ready, in seconds; None if not known."""
        workload = workload_of(pod)
        return None if workload is None else self.start_by_workload_s.get(workload.peer_group)
