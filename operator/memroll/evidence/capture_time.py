"""Limit the time for capturing evidence: by the evidence timeout, and by the time at which the pod must be rolled.

A PodRoll and its pod go in, seconds or a `skipped` record come out. The state machine and
`reconcile.roll` call it. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.evidence import Evidence, EvidenceSection, MissingSection
from memroll.api.quantity import humanize_duration
from memroll.model.roll_duration import estimate_s, start_time

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll
    from memroll.model.pods import Pod

MIN_CAPTURE_S = 1.0
"""Minimum time for a capture in seconds, chosen by hand. With less the capture is skipped."""


def capture_time_left_s(roll: PodRoll, pod: Pod, now: datetime) -> float:
    """Return the seconds that remain for the capture; less than MIN_CAPTURE_S means to skip it."""
    started = roll.status.times.capturing_evidence or now
    elapsed_s = max(0.0, (now - started).total_seconds())
    return min(roll.spec.evidence.timeout.total_seconds() - elapsed_s, _time_until_roll_s(roll, pod, now))


def _time_until_roll_s(roll: PodRoll, pod: Pod, now: datetime) -> float:
    """Return how long the pod can wait for its roll; infinite if its time to the limit is unknown."""
    trigger = roll.spec.trigger
    if trigger is None or trigger.time_to_limit_seconds is None:
        return float("inf")
    elapsed_s = (now - roll.created_at).total_seconds()
    return trigger.time_to_limit_seconds - elapsed_s - _duration_s(roll, pod)


def _duration_s(roll: PodRoll, pod: Pod) -> float:
    """Return the expected duration of the roll, in seconds, as recorded; else an estimate by the pod."""
    recorded_s = roll.spec.trigger.expected_roll_seconds if roll.spec.trigger else None
    return estimate_s(start_time(pod).seconds, roll.spec.drain) if recorded_s is None else float(recorded_s)


def skipped(roll: PodRoll, pod: Pod, now: datetime) -> Evidence:
    """Return a record without sections that contains the reason why the capture was skipped."""
    if _time_until_roll_s(roll, pod, now) < MIN_CAPTURE_S:
        duration = humanize_duration(_duration_s(roll, pod))
        why = f"skipped: the pod's limit is near, and a roll may take {duration}"
    else:
        why = "the capture was interrupted and had no time left"
    return Evidence(captured_at=now, missing=(MissingSection(section=EvidenceSection.ALL, reason=why),))
