"""Strategy Surge: the pod is released, and drained and evicted only when its replacement is Ready."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Detachment, Phase, PodRelease
from memroll.api.quantity import humanize_duration
from memroll.api.roll_spec import DrainMode, Strategy
from memroll.rolling.actions import ADD_OWNER, DETACH_POD, EVICT_POD, LEAVE_TO_WORKLOAD, RELEASE_POD, refusal_reason
from memroll.rolling.evict import end_if_refused_for_long, evicting
from memroll.rolling.eviction_response import EvictionResult
from memroll.rolling.observation import MAX_MESSAGE_CHARS
from memroll.rolling.pod_labels import is_detached, is_released
from memroll.rolling.reasons import (
    DRAIN_METRIC_MISSING,
    EVICTING,
    EVICTION_REFUSED,
    FALLING_BACK,
    REPLACEMENT_NOT_READY,
    WORKLOAD_CHANGING,
    WORKLOAD_GONE,
)
from memroll.rolling.rollback import (
    RESTORING,
    interruption,
    roll_back,
    roll_back_if_lost,
    roll_back_if_restarted,
)
from memroll.rolling.strategy import RollStrategy, RollSubject, recreate_conflict

if TYPE_CHECKING:
    from memroll.model.permissions import Permissions
    from memroll.rolling.eviction_response import EvictionResponse
    from memroll.rolling.observation import StepInput, Transition

RELEASING = "Releasing"
"""Reason of a roll that waits for the replacement of its released pod."""
DRAINING = "Draining"
"""Reason of a roll whose pod drains."""
MAX_GAUGE_SILENCE_S = 120.0
"""Seconds after the detach without a sample of the drain's gauge, after which that is reported: two scrapes at
Prometheus' default interval of a minute. Chosen by hand."""


def replacing(step: StepInput) -> Transition:
    """Wait for the replacement, and roll back when it is not Ready in time."""
    interrupted = interruption(step)
    if interrupted is not None:
        return interrupted
    if not is_released(step.pod, step.status):
        return _release_again(step)
    if step.workload is None:
        message = "the workload is gone: removing its pod"
        drains = step.roll.spec.drain.mode is DrainMode.DETACH
        changes = {"replacement": None, "detachment": Detachment(skipped="the workload is gone") if drains else None}
        return step.to_phase(Phase.EVICTING, message, LEAVE_TO_WORKLOAD, EVICT_POD, reason=WORKLOAD_GONE, **changes)
    if step.can_remove_old_pod:
        return _replaced(step)
    return roll_back_if_restarted(step) or _not_replaced(step)


def _not_replaced(step: StepInput) -> Transition:
    """Wait for the replacement as long as that is useful."""
    waiting = step.not_replaced_because
    evict_now = step.evict_now_because if step.has_no_room else ""
    if evict_now:
        return roll_back(step, FALLING_BACK, f"{waiting}; {evict_now}: {RESTORING}, to evict it")
    if not step.is_overdue(step.status.times.replacing):
        return step.wait(f"waiting: {waiting}", replacement=step.replacement, reason=RELEASING)
    return roll_back(step, REPLACEMENT_NOT_READY, f"{waiting} in time: {RESTORING}")


def _release_again(step: StepInput) -> Transition:
    """Release a pod whose release was recorded but not performed, unless that is no longer right."""
    workload, observation = step.workload, step.observation
    changed = "the workload is gone"
    if workload is not None:
        subject = RollSubject(step.pod, workload, observation.permissions, observation.hash_selector)
        changed = workload.rollout_of(step.pod) or SURGE.unsupported_because(subject)
    if changed:
        return step.wait(changed, reason=WORKLOAD_CHANGING)
    if step.is_overdue(step.status.times.replacing):
        return step.wait("the pod could not be released in time", reason=REPLACEMENT_NOT_READY)
    return step.repeat(RELEASE_POD)


def _replaced(step: StepInput) -> Transition:
    """Drain the old pod where the spec requires it and it is possible, else evict it."""
    refused = step.observation.refused_detach
    if refused is not None:
        return _detach_refused(step, refused)
    return _detach_or_evict(
        step, step.observation.detachment if step.roll.spec.drain.mode is DrainMode.DETACH else None
    )


def _detach_refused(step: StepInput, refused: EvictionResponse) -> Transition:
    """Try again, and end as an eviction that is refused.

    Without an answer in time, the pod is evicted with all its labels, by which its PodDisruptionBudgets select it.
    """
    times, now = step.status.times, step.now
    since = times.detach_refused or now
    step = step.with_status(times=times.model_copy(update={"detach_refused": since}), replacement=step.replacement)
    if refused.result is EvictionResult.UNKNOWN:
        if step.is_overdue(since):
            unanswered = f"a dry run of its eviction had no answer in time: {refused.message}"
            return _detach_or_evict(step, Detachment(skipped=unanswered[:MAX_MESSAGE_CHARS]))
    elif refused.result is EvictionResult.MISCONFIGURED:
        return step.wait(refused.message, reason=EVICTION_REFUSED)
    else:
        ended = end_if_refused_for_long(step, since, refused.message)
        if ended is not None:
            return ended
    reason = refusal_reason(refused.result, (now - since).total_seconds(), RELEASING)
    return step.wait(f"{_ready(step)}, but the old pod may not be detached yet: {refused.message}", reason=reason)


def _ready(step: StepInput) -> str:
    replacement = step.replacement
    return f"replacement {replacement.name if replacement else ''} is Ready"


def _detach_or_evict(step: StepInput, detachment: Detachment | None) -> Transition:
    """Detach the old pod if that is possible, else evict it."""
    ready, changes = _ready(step), {"replacement": step.replacement, "detachment": detachment}
    if detachment is not None and not detachment.skipped:
        message = f"{ready}: no new connections for the old pod"
        return step.to_phase(Phase.DRAINING, message, ADD_OWNER, DETACH_POD, reason=DRAINING, **changes)
    message = f"{ready}: evicting the old pod" + (f" (not detached: {detachment.skipped})" if detachment else "")
    return step.to_phase(Phase.EVICTING, message, ADD_OWNER, EVICT_POD, reason=EVICTING, **changes)


def draining(step: StepInput) -> Transition:
    """Wait until the detached pod is idle or its drain times out, then evict it."""
    transition = interruption(step) or roll_back_if_lost(step)
    if transition is not None:
        return transition
    if not is_detached(step.pod, step.status):
        return _detach_again(step)
    passed_s = (step.now - (step.status.times.draining or step.now)).total_seconds()
    drained = _drained_because(step, passed_s)
    if drained:
        return step.to_phase(Phase.EVICTING, f"{drained}: evicting the old pod", ADD_OWNER, EVICT_POD, reason=EVICTING)
    missing = _missing_gauge(step, passed_s)
    if missing:
        return step.wait(f"draining, {_in_flight(step)}: {missing}", reason=DRAIN_METRIC_MISSING)
    message = "draining" if step.roll.spec.drain.until is None else f"draining, {_in_flight(step)}"
    return step.wait(message, reason=DRAINING)


def _detach_again(step: StepInput) -> Transition:
    """Detach a pod whose detachment was recorded but not performed, once it is replaced."""
    if step.workload is None or step.can_remove_old_pod:
        return step.repeat(ADD_OWNER, DETACH_POD)
    waiting = step.not_replaced_because
    if step.is_overdue(step.status.times.draining):
        return roll_back(step, REPLACEMENT_NOT_READY, f"{waiting} in time: {RESTORING}")
    return step.wait(f"not detached yet: {waiting}")


def _drained_because(step: StepInput, passed_s: float) -> str:
    """Return why the pod counts as drained, or an empty string."""
    drain, in_flight = step.roll.spec.drain, step.observation.in_flight
    passed = humanize_duration(passed_s)
    if passed_s < drain.min_duration.total_seconds():
        return ""
    if drain.until is None:
        return f"drained for {passed}"
    if in_flight is not None and in_flight <= drain.until.max_value:
        return f"idle after {passed}"
    if passed_s >= drain.timeout.total_seconds():
        return f"{_in_flight(step)} after {passed}, the drain timeout"
    return ""


def _missing_gauge(step: StepInput, passed_s: float) -> str:
    """Return why the gauge is missing, with the remedy, or an empty string.

    Prometheus usually discovers a pod by the endpoints of a Service, from which the detach has just removed it. A
    sample from before the detach is no evidence of an idle pod, so the drain takes all of its timeout.
    """
    until, observation = step.roll.spec.drain.until, step.observation
    if until is None or observation.in_flight is not None or observation.gauge_error or passed_s < MAX_GAUGE_SILENCE_S:
        return ""
    labels = ", ".join(step.status.detachment.labels) if step.status.detachment else ""
    return (
        f"Prometheus has no sample of {until.metric} since the pod was detached. Scrape it by pod (a PodMonitor, no "
        f"ServiceMonitor) that is not selected by {labels}; until then each drain takes roll.drain.timeout"
    )


def _in_flight(step: StepInput) -> str:
    in_flight, error = step.observation.in_flight, step.observation.gauge_error
    if in_flight is not None:
        return f"{in_flight:g} in flight"
    return f"number in flight unknown ({error})" if error else "number in flight unknown"


class _Surge(RollStrategy):
    strategy = Strategy.SURGE
    reason = "the replacement can be Ready before the pod leaves"
    releases_pod = True
    steps = MappingProxyType({Phase.REPLACING: replacing, Phase.DRAINING: draining, Phase.EVICTING: evicting})

    def is_permitted(self, permissions: Permissions) -> bool:
        return permissions.surge

    def unsupported_because(self, subject: RollSubject) -> str:
        pod, workload = subject.pod, subject.workload
        if workload.has_recreate_strategy:
            return recreate_conflict(workload)
        if not self.is_permitted(subject.permissions):
            return "memroll was installed without the right to surge"
        if not workload.hash_label:
            return f"a {workload.owner.kind} has no template hash by which a pod could be released"
        if not pod.labels.get(workload.hash_label):
            return f"the pod has no label {workload.hash_label}"
        if pod.exclusive_because:
            return f"a second copy of the pod can't run next to it: {pod.exclusive_because}"
        return workload.must_not_surge_because or subject.hash_selector

    def not_automatic_because(self, subject: RollSubject) -> str:
        """Reject missing room as well. A required Surge is tried: an autoscaler may add a node."""
        return self.unsupported_because(subject) or subject.missing_room

    def first_change(self, step: StepInput) -> Transition:
        assert step.workload is not None, "checked by the caller"
        label = step.workload.hash_label
        release = PodRelease(hash_label=label, template_hash=step.pod.labels.get(label, ""))
        message = "waiting for the replacement"
        return step.to_phase(Phase.REPLACING, message, RELEASE_POD, reason=RELEASING, release=release)


SURGE = _Surge()
