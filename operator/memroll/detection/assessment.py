"""Verdict of one container with its pod, and its numbers as text for Events, PodRolls and the CLI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import format_mib, format_rate, humanize_duration
from memroll.detection.reasons import VerdictReason

if TYPE_CHECKING:
    from memroll.detection.verdict import ContainerVerdict
    from memroll.model.pods import Container, Pod


OTHER_MEMORY_REMEDY = "a restart of the container would not free a memory volume, a new pod does"
"""Remedy for a container whose memory outside of its processes' own grows."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Verdict of one container, with its pod."""

    pod: Pod
    container: Container
    verdict: ContainerVerdict

    @property
    def is_of_other_memory(self) -> bool:
        """True if memory outside of the processes' own grows up to the limit."""
        return self.verdict.reason is VerdictReason.OTHER_MEMORY

    @property
    def is_reported_only(self) -> bool:
        """True if the container is about to reach its limit, and the policy does not roll its pod for this reason."""
        return self.is_of_other_memory and self.verdict.is_suspected

    @property
    def message(self) -> str:
        """Message of the verdict, with the limit that it uses if that is not the container's own."""
        lowered, limit = self.container.lowered, self.container.limit_bytes
        if lowered is None or limit is None or self.verdict.usage_bytes is None:
            return self.verdict.message
        return f"{self.verdict.message} (limit {format_mib(limit)}: {lowered})"


def describe_growth(assessment: Assessment) -> str:
    """Return usage, limit, growth, time to the limit and lead time as one phrase, for a container at risk."""
    verdict, limit, lowered = assessment.verdict, assessment.container.limit_bytes, assessment.container.lowered
    assert verdict.usage_bytes is not None, "a container at risk has samples"
    parts = [format_mib(verdict.usage_bytes)]
    if limit:
        ratio = f"{verdict.usage_bytes / limit:.0%}{f' of {lowered}' if lowered else ''}"
        parts = [f"{format_mib(verdict.usage_bytes)} of {format_mib(limit)} ({ratio})"]
    if verdict.trend is not None:
        parts.append(format_rate(verdict.trend.slope_bytes_per_s))
    if verdict.is_above_threshold:
        parts.append(verdict.message)
    elif verdict.time_to_limit_s is not None:
        parts.append(f"limit in {humanize_duration(verdict.time_to_limit_s)}")
    if assessment.is_of_other_memory:
        parts += [verdict.message, OTHER_MEMORY_REMEDY]
    left_s, lead_s = verdict.time_to_limit_s, verdict.lead_time_s
    if lead_s is not None and not verdict.due and (left_s is None or left_s > lead_s):
        parts.append(f"rolled when {humanize_duration(lead_s)} are left")
    return ", ".join(parts)
