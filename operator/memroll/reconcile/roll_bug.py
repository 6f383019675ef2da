"""Record that a step of a PodRoll raised an unexpected exception, which is a bug of memroll.

`RollController` calls `record_bug`. The record is read again: the step may have written it before it failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api import ROLL_PLURAL
from memroll.api.decode import decode_or_none
from memroll.api.pod_roll import PodRoll
from memroll.reconcile.roll import StepResult, require_lease
from memroll.rolling.step_failure import after_bug, retry_after_s

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.reconcile.roll import StepContext
    from memroll.rolling.protocols import KubernetesClient


async def record_bug(
    name: tuple[str, str], bug: Exception, kubernetes: KubernetesClient, now: datetime, context: StepContext
) -> StepResult | None:
    """Record a bug once, and end the roll when it has failed for too long; None if there is no active roll."""
    roll = decode_or_none(await kubernetes.get_roll(*name), PodRoll.read)
    if roll is None or not roll.active:
        return None
    before, status = roll.status, after_bug(roll.status, bug, now)
    if status != before:
        require_lease(context, "a bug was recorded")
        written = await kubernetes.write_status(ROLL_PLURAL, *name, roll.resource_version, status.to_dict())
        roll = PodRoll.read(written)
    return StepResult(before, roll, retry_after_s(roll.status, now) if roll.active else None)
