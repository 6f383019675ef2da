"""The verdict of one container, with the pod that it belongs to, and its figures as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import about, mib
from memroll.detection.verdict import Breach, Code

if TYPE_CHECKING:
    from memroll.detection.verdict import Verdict
    from memroll.model.pods import Container, Target


@dataclass(frozen=True, slots=True)
class Assessment:
    """One container's verdict."""

    target: Target
    container: Container
    verdict: Verdict


def numbers(assessment: Assessment) -> str:
    """Return usage, limit, growth, time to the limit and lead time as one phrase."""
    verdict = assessment.verdict
    assert isinstance(verdict, Breach)
    parts = [mib(verdict.usage_bytes)]
    if assessment.container.limit_bytes:
        share = verdict.usage_bytes / assessment.container.limit_bytes
        parts = [f"{mib(verdict.usage_bytes)} of {mib(assessment.container.limit_bytes)} ({share:.0%})"]
    if verdict.trend is not None:
        parts.append(f"+{mib(verdict.trend.slope_bytes_per_s * 3600)} per hour")
    if verdict.code is Code.CEILING:
        parts.append(verdict.message)
    elif verdict.time_to_limit_s is not None:
        parts.append(f"limit in {about(verdict.time_to_limit_s)}")
    if verdict.lead_s is not None and not verdict.due:
        parts.append(f"rolled when {about(verdict.lead_s)} are left")
    return ", ".join(parts)
