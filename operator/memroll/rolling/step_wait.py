"""Time until the next step of a roll that stays in its phase. Pure.

`reconcile.roll` passes in the step and whether the pods of its workload are watched. A watched roll is woken when one
of them changes, so the period only bounds how late everything else is seen (a workload that is scaled or deleted, a
quota, a PodDisruptionBudget). Deadlines of the roll itself are not left to the period: the next one is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.rolling.observation import (
    EVICTION_MARGIN_RATIO,
    MAX_TERMINATION_WAIT_S,
    MIN_EVICTION_MARGIN_S,
    TERMINATION_MARGIN_S,
    UNCHANGED_PHASES,
)
from memroll.rolling.pod_labels import is_detached
from memroll.rolling.reasons import TERMINATING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from memroll.rolling.observation import StepInput

MIN_WAIT_S = 1.0
"""Minimum seconds between two steps of a roll. Chosen by hand: see design note 0028 for all of these."""
SHORT_PERIOD_S = 5.0
"""Seconds between two steps near the limit of the pod and without a watch."""
MEDIUM_PERIOD_S = 10.0
"""Seconds until the second step of a phase of a watched roll; between two queries of the gauge that a drain waits for,
shorter than the usual interval of its samples; and between two steps of a roll whose pod ends without the labels by
which the watch selects it."""
LONG_PERIOD_S = 30.0
"""Seconds between two steps of a watched roll later in its phase: as the resync."""
RETRY_RATIO = 0.5
"""Delay of the next attempt of a refused eviction, as a ratio of the time since the first one."""
MAX_RETRY_S = 15.0
"""Maximum seconds between two attempts of an eviction. An attempt takes ten requests."""
NEAR_LIMIT_S = 120.0
"""Predicted seconds to the limit of the pod from which the long periods no longer apply."""
DEADLINE_MARGIN_S = 0.1
"""Seconds after a deadline at which the next step is made: it has passed then."""


def step_wait_s(step: StepInput, *, is_watched: bool) -> float:
    """Return the seconds until the next step of a roll that stays in its phase."""
    deadline_s = min(_deadlines_s(step), default=LONG_PERIOD_S) + DEADLINE_MARGIN_S
    return max(MIN_WAIT_S, min(_period_s(step, is_watched=is_watched), deadline_s))


def _period_s(step: StepInput, *, is_watched: bool) -> float:
    status, pod, time_to_limit_s = step.status, step.observation.pod, step.time_to_limit_s
    age_s = _seconds_since(step, step.phase_began)
    is_near = time_to_limit_s is not None and time_to_limit_s <= NEAR_LIMIT_S
    if status.phase in UNCHANGED_PHASES:
        return MIN_WAIT_S
    if step.observation.uninstalling or status.times.rolling_back is not None:
        return MIN_WAIT_S if _seconds_since(step, status.times.rolling_back) < SHORT_PERIOD_S else SHORT_PERIOD_S
    if status.phase is Phase.EVICTING and pod is not None and not pod.deleting and status.reason != TERMINATING:
        return min(RETRY_RATIO * age_s, SHORT_PERIOD_S if is_near else MAX_RETRY_S)
    if not is_watched:
        return MIN_WAIT_S if age_s < SHORT_PERIOD_S else SHORT_PERIOD_S
    if status.reason != TERMINATING and (is_near or age_s < SHORT_PERIOD_S):
        return SHORT_PERIOD_S if is_near else MEDIUM_PERIOD_S
    is_gauge_read = status.phase is Phase.DRAINING and step.roll.spec.drain.until is not None
    is_unwatched_end = status.phase is Phase.EVICTING and pod is not None and is_detached(pod, status)
    return MEDIUM_PERIOD_S if is_gauge_read or is_unwatched_end else LONG_PERIOD_S


def _deadlines_s(step: StepInput) -> Iterator[float]:
    """Yield the seconds to each later time at which the roll may go on, or must end, although no object changes."""
    return (left_s for left_s in _times_left_s(step) if left_s > -DEADLINE_MARGIN_S)


def _times_left_s(step: StepInput) -> Iterator[float]:
    times, roll, pod = step.status.times, step.roll, step.observation.pod
    timeout_s = roll.spec.replacement_timeout_seconds + step.settle_s
    for since in (step.phase_began, times.rolling_back, times.detach_refused):
        if since is not None:
            yield timeout_s - _seconds_since(step, since)
            yield 2 * timeout_s - _seconds_since(step, since)
    for other in step.observation.other_pods:
        if other.ready and other.ready_at is not None and not step.is_available(other):
            yield step.settle_s - _seconds_since(step, other.ready_at)
    if times.draining is not None:
        for limit in (roll.spec.drain.min_duration, roll.spec.drain.timeout):
            yield limit.total_seconds() - _seconds_since(step, times.draining)
    if pod is not None and (pod.deleting or step.status.reason == TERMINATING):
        yield MAX_TERMINATION_WAIT_S - _seconds_since(step, times.evicting or step.phase_began)
        yield TERMINATION_MARGIN_S - _seconds_since(step, pod.deletion_due_at)
    yield from _time_to_eviction_s(step)


def _time_to_eviction_s(step: StepInput) -> Iterator[float]:
    """Yield the seconds until a pod whose replacement has no room is evicted instead."""
    trigger, left_s = step.roll.spec.trigger, step.time_to_limit_s
    if trigger is not None and left_s is not None and step.has_no_room:
        predicted_s = trigger.time_to_limit_seconds or 0
        yield left_s - max(MIN_EVICTION_MARGIN_S, EVICTION_MARGIN_RATIO * predicted_s)


def _seconds_since(step: StepInput, since: datetime | None) -> float:
    return 0.0 if since is None else (step.now - since).total_seconds()
