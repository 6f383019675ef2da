"""Steps of a roll that has the workload's own controller restart all of its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.pod_roll import Phase
from memroll.rolling.observation import Act, Step, moved, overdue, saying
from memroll.rolling.rollback import TIMED_OUT, VETOED

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.rolling.observation import Observed


def replacing(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Wait until the controller has restarted the workload. What it has begun is its own: it can't be taken back."""
    status, workload = roll.status, seen.workload
    if workload is None:
        return Step(moved(status, Phase.SUCCEEDED, now, "the workload is gone", reason="WorkloadGone"))
    if status.restarted_at and workload.restarted_at < rfc3339(status.restarted_at):
        if roll.spec.veto or seen.retiring:
            return Step(moved(status, Phase.ABORTED, now, "stopped before anything was changed", reason=VETOED))
        return Step(status, (Act.RESTART,))
    if seen.pod is None and not workload.unsettled:
        return Step(moved(status, Phase.VERIFYING, now, "restarted", reason="Verifying"))
    waiting = workload.unsettled or "the pod has not been restarted yet"
    if overdue(roll, status.times.replacing, now, times=max(1, workload.replicas)):
        return Step(moved(status, Phase.FAILED, now, f"not restarted in time: {waiting}", reason=TIMED_OUT))
    return Step(saying(status, f"restarting: {waiting}"))
