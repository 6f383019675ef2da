"""How long evidence may be captured for: never past its time-out, nor past the moment at which the pod must go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.evidence import Evidence, Missing, Part
from memroll.api.quantity import about
from memroll.model.roll_duration import guessed_s

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.model.pods import Target

LEAST_S = 1.0
"""In less nothing is had: skipped."""


def left_s(roll: PodRoll, pod: Target, now: datetime) -> float:
    """Return the seconds that are left to capture evidence; less than LEAST_S means none."""
    begun = roll.status.times.capturing_evidence or now
    passed_s = max(0.0, (now - begun).total_seconds())
    return min(roll.spec.evidence.timeout.total_seconds() - passed_s, _spare_s(roll, pod, now))


def _spare_s(roll: PodRoll, pod: Target, now: datetime) -> float:
    """Return how long the pod can wait for its roll; for ever, where nobody knows of a limit."""
    finding = roll.spec.finding
    if finding is None or finding.time_to_limit_seconds is None:
        return float("inf")
    passed_s = (now - roll.created_at).total_seconds()
    return finding.time_to_limit_seconds - passed_s - guessed_s(pod, roll.spec.drain)


def skipped(roll: PodRoll, pod: Target, now: datetime) -> Evidence:
    """Say why nothing was captured."""
    if _spare_s(roll, pod, now) < LEAST_S:
        took = about(guessed_s(pod, roll.spec.drain))
        why = f"skipped: the pod's limit is near, and a roll may take {took}"
    else:
        why = "the capture was cut short and had no time left"
    return Evidence(captured_at=now, missing=(Missing(part=Part.ALL, reason=why),))
