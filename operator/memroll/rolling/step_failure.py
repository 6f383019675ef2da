"""Record of a bug of memroll in the steps of a roll: the first failure, the retries, and the end of the roll.

`reconcile.roll_bug` passes in the record of a roll whose step has raised an unexpected exception, and writes what
`after_bug` returns. The reason and the message of the record are those of the roll's own steps, a rollback continues
from them; so a bug has a field of its own, until it ends the roll. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Phase
from memroll.api.quantity import humanize_duration
from memroll.api.roll_progress import StepFailure
from memroll.rolling.observation import to_phase
from memroll.rolling.reasons import INTERNAL_ERROR

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRollStatus

MAX_FAILING_S = 600.0
"""Seconds after the first of consecutive failures from which a further failure ends the roll. Chosen by hand: the
default replacement timeout, the bound of most other states."""
MIN_RETRY_S = 2.0
"""Minimum delay in seconds before a failed step is repeated. Chosen by hand."""
MAX_RETRY_S = 60.0
"""Maximum delay in seconds before a failed step is repeated. Chosen by hand: ten attempts at least before the end."""


def after_bug(status: PodRollStatus, bug: Exception, now: datetime) -> PodRollStatus:
    """Return the record after a failed step: unchanged after the first failure, until the roll ends."""
    cause = f"a bug of memroll ({type(bug).__name__})"
    if status.step_failure is None:
        message = f"{cause} ended a step, which is repeated for up to {humanize_duration(MAX_FAILING_S)}: "
        failure = StepFailure(reason=INTERNAL_ERROR, message=f"{message}memroll's log has the details", since=now)
        return status.model_copy(update={"step_failure": failure})
    failing_s = _failing_s(status, now)
    if failing_s < MAX_FAILING_S:
        return status
    message = f"{cause} has ended each step for {humanize_duration(failing_s)}, memroll's log has the details"
    return to_phase(status, Phase.FAILED, now, f"{message}: {_describe_pod(status)}", reason=INTERNAL_ERROR)


def retry_after_s(status: PodRollStatus, now: datetime) -> float:
    """Return the delay before the step is repeated: the time since the first failure, so that it doubles."""
    return min(MAX_RETRY_S, max(MIN_RETRY_S, _failing_s(status, now)))


def without_failure(status: PodRollStatus) -> PodRollStatus:
    """Return the record after a step that succeeded."""
    return status if status.step_failure is None else status.model_copy(update={"step_failure": None})


def _failing_s(status: PodRollStatus, now: datetime) -> float:
    return 0.0 if status.step_failure is None else (now - status.step_failure.since).total_seconds()


def _describe_pod(status: PodRollStatus) -> str:
    """Return the state in which the roll leaves its pod. It may be unreadable: only the record is known."""
    times = status.times
    if times.verifying:
        return "the old pod is gone or terminating, and its replacement is not checked"
    if status.restarted_at:
        return "the workload may be restarted"
    if times.evicting:
        restored = ", and is restored if it still exists" if status.release else ""
        return f"the pod may be evicted{restored}"
    return "the pod may be released, and is restored" if status.release else "the pod is not changed"
