"""Types of a step of a roll: what the cluster shows, what the step decides from that, and predicates on both.

The observer builds an `Observation`; the state machine and the strategies read it through a `StepInput` and return a
`Transition`; `reconcile.roll` writes the transition's status and then performs its actions. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic.alias_generators import to_snake

from memroll.api.base import rfc3339
from memroll.api.pod_roll import Phase, ReplacementPod
from memroll.api.quantity import humanize_duration
from memroll.model.permissions import ALL_PERMISSIONS, Permissions
from memroll.model.pods import count_ready

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import Detachment, PodRoll, PodRollStatus
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Pod, Workload
    from memroll.rolling.actions import Action
    from memroll.rolling.eviction_response import EvictionResponse

MAX_TERMINATION_WAIT_S = 30.0
"""Maximum seconds for which a roll waits for the end of a pod that is terminating and replaced: the default grace
period of pods. The duration of most rolls, from which the lead time follows, includes it, and no peer waits longer."""
TERMINATION_MARGIN_S = 60.0
"""Seconds after the end of its grace period for which a terminating pod is waited for. The kubelet needs a few of them;
the rest is chosen by hand."""
MIN_EVICTION_MARGIN_S = 60.0
"""Minimum seconds before the predicted limit at which a pod whose replacement has no room is evicted instead.
Restoring, adoption and eviction take a few seconds each; the rest is chosen by hand."""
EVICTION_MARGIN_RATIO = 0.1
"""Margin of that eviction as a ratio of the predicted time to the limit, for the error of the prediction. By hand."""
RETRY_S = 600.0
"""Seconds between a failed roll and the next one, for a roll without a policy: the default of `roll.cooldown`."""
MAX_MESSAGE_CHARS = 1024
"""Maximum length of a message in a PodRoll: the bound in its CRD."""
UNCHANGED_PHASES = (None, Phase.ANNOUNCED, Phase.CAPTURING_EVIDENCE)
"""Phases in which nothing is changed yet."""


@dataclass(frozen=True, slots=True)
class Observation:
    """State of the cluster right before a step."""

    pod: Pod | None
    """The pod that is rolled; None when no pod with its uid exists, and when it has ended."""
    workload: Workload | None
    """None when neither the pod's controller nor the owner of that exists."""
    other_pods: tuple[Pod, ...] = ()
    """The pods of all revisions of the workload, without the rolled one and those that have ended."""
    policy_withdrawn: str = ""
    """Reason why the policy no longer permits the roll (deleted, suspended, set to Observe), or empty."""
    permissions: Permissions = ALL_PERMISSIONS
    must_not_roll_because: str = ""
    """Why this pod must not be rolled at all (do-not-disrupt annotation, another roll in progress), or empty."""
    never_evictable_because: str = ""
    """Why the API server will refuse every eviction of the pod (two PodDisruptionBudgets), or empty."""
    refused_detach: EvictionResponse | None = None
    """Answer to the dry run of the eviction of a pod that is about to be detached; None if it would be accepted."""
    claimed: frozenset[str] = frozenset()
    """Uids of the pods that other PodRolls count as their replacement."""
    uninstalling: str = ""
    """Why every roll must be rolled back ("memroll is being uninstalled"), or empty."""
    hash_selector: str = ""
    """Sentence that names the Service or NetworkPolicy that selects the pod by its template hash; empty when there is
    none, and once the pod is released."""
    budgets: int | None = None
    """Number of PodDisruptionBudgets that select the pod; None when they were not read."""
    missing_room: str = ""
    """Sentence about the nodes, none of which has room for a second copy of the pod; empty when one has, when that is
    not known, and unless strategy Auto would release the pod."""
    detachment: Detachment | None = None
    """Labels to change to take the pod out of its Services; None when they were not looked up."""
    in_flight: float | None = None
    """Value of the pod's in-flight gauge; None when it is unknown."""
    gauge_error: str = ""
    """Reason why that gauge could not be queried, or empty. Then its value is unknown, but not missing."""
    retry_s: float = RETRY_S
    """Seconds between a failed roll and the next attempt of the policy."""
    is_planned: bool = False
    """True if only the pod was read: the workload is that of the plan, and its other pods are not known."""

    @property
    def ready_others(self) -> int:
        return count_ready(self.other_pods)


@dataclass(frozen=True, slots=True)
class Transition:
    """Decision of a step: the status to write, then the actions to perform, in this order."""

    status: PodRollStatus
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class StepInput:
    """Everything that a step decides from."""

    roll: PodRoll
    observation: Observation
    now: datetime
    policy: MemoryPolicy | None = None
    """The policy that created the roll; None for a roll without one, and when the policy is gone."""

    @property
    def status(self) -> PodRollStatus:
        return self.roll.status

    @property
    def pod(self) -> Pod:
        """The rolled pod, where the caller has checked that it exists."""
        assert self.observation.pod is not None, "the caller checked"
        return self.observation.pod

    @property
    def workload(self) -> Workload | None:
        return self.observation.workload

    def with_status(self, **changes: object) -> StepInput:
        """Return the same step on a record with these changes in its status."""
        status = self.status.model_copy(update=changes)
        return replace(self, roll=self.roll.model_copy(update={"status": status}))

    def to_phase(self, phase: Phase, message: str, *actions: Action, **changes: object) -> Transition:
        """Return the transition to another phase, with its time."""
        return Transition(to_phase(self.status, phase, self.now, message, **changes), actions)

    def wait(self, message: str, *actions: Action, **changes: object) -> Transition:
        """Return a transition that stays in the phase, with a new message."""
        return Transition(with_message(self.status, message, **changes), actions)

    def repeat(self, *actions: Action) -> Transition:
        """Return a transition that leaves the record as it is: wait, or perform its actions again."""
        return Transition(self.status, actions)

    @property
    def is_replaced(self) -> bool:
        """Return whether the workload has as many Ready pods as before, not counting the old one.

        Fewer are enough if it was scaled down meanwhile. All revisions count: the replacement may be of a newer one.
        """
        assert self.workload is not None, "the caller checked"
        available = sum(1 for p in self.observation.other_pods if self.is_available(p))
        return available >= min(self.workload.replicas, self.status.ready_before)

    @property
    def settle_s(self) -> float:
        """Seconds for which a new pod must be Ready: `minReadySeconds`, and `roll.settle` in addition."""
        return (self.workload.min_ready_s if self.workload else 0.0) + self.roll.spec.settle_seconds

    def is_available(self, pod: Pod) -> bool:
        """Return whether a pod is Ready, and one that is new has been Ready for long enough.

        Before the roll, Ready was enough for the older ones: a probe of them that fails once does not delay it.
        """
        if not pod.ready or pod.deleting:
            return False
        return not self._is_new(pod) or self.settle_s <= 0 or self._ready_for_s(pod) >= self.settle_s

    def _is_new(self, pod: Pod) -> bool:
        """Return whether a pod was created since the roll was recorded, by the API server's clock."""
        return pod.created_at >= self.roll.created_at

    def _ready_for_s(self, pod: Pod) -> float:
        return 0.0 if pod.ready_at is None else (self.now - pod.ready_at).total_seconds()

    @property
    def can_restore(self) -> bool:
        """Return whether the pod may be restored: a ReplicaSet with 0 replicas deletes the pods that it adopts.

        That is right for a workload that is scaled to zero, but not in the middle of a rollout.
        """
        return self.workload is not None and self.workload.can_readopt

    @property
    def replacement_pod(self) -> Pod | None:
        """The recorded replacement while it exists, else the youngest new pod that replaces no other rolled pod."""
        observation, recorded = self.observation, self.status.replacement
        alive = [p for p in observation.other_pods if not p.deleting and p.key.uid not in observation.claimed]
        for pod in alive:
            if recorded is not None and pod.key.uid == recorded.uid:
                return pod
        young = [p for p in alive if self._is_new(p)]
        return max(young, key=lambda p: (p.created_at, p.key.name), default=None)

    @property
    def can_remove_old_pod(self) -> bool:
        """Return whether a surge may remove the old pod: it is replaced, or another pod is missing for long.

        If the roll's own replacement is Ready and the timeout has passed, another pod of the workload is not Ready: to
        roll back would not change that.
        """
        if self.is_replaced:
            return True
        is_available = self.replacement_pod is not None and self.is_available(self.replacement_pod)
        return is_available and self.is_overdue(self.status.times.replacing)

    @property
    def replacement(self) -> ReplacementPod | None:
        pod = self.replacement_pod
        return None if pod is None else ReplacementPod(name=pod.key.name, uid=pod.key.uid)

    @property
    def not_replaced_because(self) -> str:
        pod = self.replacement_pod
        failure = self.workload.replica_failure if self.workload else ""
        if pod is None:
            return f"no replacement exists yet ({failure})" if failure else "no replacement exists yet"
        if pod.ready and not self.is_available(pod):
            ready_for, settle = humanize_duration(self._ready_for_s(pod)), humanize_duration(self.settle_s)
            return f"replacement {pod.key.name} must be Ready for {settle}, and is for {ready_for}"
        if pod.ready:
            return "more pods must be Ready"
        detail = f" ({pod.not_ready_reason})" if pod.not_ready_reason else ""
        return f"replacement {pod.key.name} is {pod.phase} and not Ready{detail}"

    @property
    def has_no_room(self) -> bool:
        """Return whether the replacement lacks only the room that the old pod occupies; a broken one does not."""
        pod = self.replacement_pod
        if pod is not None:
            return pod.unschedulable
        return self.workload is not None and "exceeded quota" in self.workload.replica_failure

    @property
    def time_to_limit_s(self) -> float | None:
        """Seconds until the pod reaches its limit, as predicted when the roll was created; None if unknown."""
        trigger = self.roll.spec.trigger
        if trigger is None or trigger.time_to_limit_seconds is None:
            return None
        return trigger.time_to_limit_seconds - (self.now - self.roll.created_at).total_seconds()

    @property
    def evict_now_because(self) -> str:
        """Why a pod whose replacement has no room must be evicted now, or empty: later it would be OOM-killed."""
        trigger, left_s = self.roll.spec.trigger, self.time_to_limit_s
        if trigger is None or left_s is None:
            return ""
        predicted_s = trigger.time_to_limit_seconds or 0
        is_late = left_s <= max(MIN_EVICTION_MARGIN_S, EVICTION_MARGIN_RATIO * predicted_s)
        is_overdue = self.is_overdue(self.status.times.replacing)
        retry_s = self.observation.retry_s + self.roll.spec.replacement_timeout_seconds
        if not (is_late or (is_overdue and left_s <= retry_s)):
            return ""
        return f"the pod reaches its limit in {humanize_duration(max(0.0, left_s))}, before a retry could finish"

    @property
    def restarted_because(self) -> str:
        """Sentence about a restart, during the roll, of the container because of which the pod is rolled; or empty."""
        trigger, pod = self.roll.spec.trigger, self.observation.pod
        if trigger is None or pod is None or trigger.container_started is None:
            return ""
        container = next((c for c in pod.containers if c.name == trigger.container), None)
        if container is None or container.started_at is None or container.started_at <= trigger.container_started:
            return ""
        killed_at = container.oom_killed_at
        cause = " after an OOM kill" if killed_at is not None and killed_at > trigger.container_started else ""
        return f"container {container.name} has restarted{cause} at {rfc3339(container.started_at)}"

    @property
    def has_waited_for_termination(self) -> bool:
        """Return whether the pod has been terminating for so long that the roll need not wait for its end."""
        since = self.status.times.evicting or self.phase_began
        return since is not None and (self.now - since).total_seconds() > MAX_TERMINATION_WAIT_S

    @property
    def is_past_grace_period(self) -> bool:
        """Return whether the pod should have terminated some time ago."""
        due_at = self.pod.deletion_due_at
        return due_at is not None and (self.now - due_at).total_seconds() > TERMINATION_MARGIN_S

    @property
    def phase_began(self) -> datetime | None:
        """Time at which the current phase began."""
        phase = self.status.phase
        began: datetime | None = getattr(self.status.times, to_snake(phase.value), None) if phase else None
        return began

    def is_overdue(self, since: datetime | None, times: int = 1) -> bool:
        """Return whether `times` replacement timeouts have passed since then; pods need their time to settle on top."""
        timeout_s = times * self.roll.spec.replacement_timeout_seconds + self.settle_s
        return since is not None and (self.now - since).total_seconds() > timeout_s


def to_phase(status: PodRollStatus, phase: Phase, now: datetime, message: str, **changes: object) -> PodRollStatus:
    """Return the status in a new phase, with its time."""
    moment = "finished" if phase.final else to_snake(phase.value)
    times = status.times.model_copy(update={moment: now})
    return with_message(status, message, phase=phase, times=times, **changes)


def with_message(status: PodRollStatus, message: str, **changes: object) -> PodRollStatus:
    return status.model_copy(update={"message": message[:MAX_MESSAGE_CHARS], **changes})
