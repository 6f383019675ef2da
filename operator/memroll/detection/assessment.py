"""Verdict of one container with its pod, and its numbers as text for Events, PodRolls and the CLI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import format_mib, format_rate, humanize_duration

if TYPE_CHECKING:
    from memroll.detection.verdict import ContainerVerdict
    from memroll.model.pods import Container, Pod


@dataclass(frozen=True, slots=True)
class Assessment:
    """Verdict of one container, with its pod."""

    pod: Pod
    container: Container
    verdict: ContainerVerdict


def describe_growth(assessment: Assessment) -> str:
    """Return usage, limit, growth, time to the limit and lead time as one phrase, for a container at risk."""
    verdict, limit = assessment.verdict, assessment.container.limit_bytes
    assert verdict.usage_bytes is not None, "a container at risk has samples"
    parts = [format_mib(verdict.usage_bytes)]
    if limit:
        parts = [f"{format_mib(verdict.usage_bytes)} of {format_mib(limit)} ({verdict.usage_bytes / limit:.0%})"]
    if verdict.trend is not None:
        parts.append(format_rate(verdict.trend.slope_bytes_per_s))
    if verdict.is_above_threshold:
        parts.append(verdict.message)
    elif verdict.time_to_limit_s is not None:
        parts.append(f"limit in {humanize_duration(verdict.time_to_limit_s)}")
    left_s, lead_s = verdict.time_to_limit_s, verdict.lead_time_s
    if lead_s is not None and not verdict.due and (left_s is None or left_s > lead_s):
        parts.append(f"rolled when {humanize_duration(lead_s)} are left")
    return ", ".join(parts)
