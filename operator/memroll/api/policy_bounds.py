"""Bounds that the administrator sets for policies and for PodRolls by hand, and the errors of what exceeds them.

A spec or a count goes in, a message goes out, empty if it is within the bounds. The reconciles call it; the settings of
the process hold the values. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.quantity import format_duration
from memroll.errors import BoundExceededError

if TYPE_CHECKING:
    from memroll.api.policy import PolicySpec

NO_COUNT = 10**9
"""Number that nothing exceeds."""


@dataclass(frozen=True, slots=True)
class PolicyBounds:
    """Bounds of `policyBounds` in the chart. Without values there are none."""

    min_interval: timedelta = timedelta(0)
    """Minimum of `spec.interval`."""
    max_window: timedelta = timedelta.max
    """Maximum of `spec.growth.window`."""
    pods_per_policy: int = NO_COUNT
    """Maximum number of pods that a policy may select."""
    policies_per_namespace: int = NO_COUNT
    """Maximum number of policies in a namespace; the youngest ones beyond it are refused."""
    manual_rolls_per_hour: int = NO_COUNT
    """Maximum number of PodRolls by hand that begin in a namespace within an hour."""

    def check_spec(self, spec: PolicySpec) -> None:
        """Raise BoundExceededError if a field of the spec is out of bounds."""
        interval, window = spec.interval, spec.growth.window
        if interval < self.min_interval:
            raise BoundExceededError(
                "IntervalTooShort",
                f"spec.interval is {format_duration(interval)}: the administrator allows "
                f"{format_duration(self.min_interval)} or more (policyBounds.minInterval)",
            )
        if window > self.max_window:
            raise BoundExceededError(
                "WindowTooLong",
                f"spec.growth.window is {format_duration(window)}: the administrator allows "
                f"{format_duration(self.max_window)} or less (policyBounds.maxWindow)",
            )

    def check_pods(self, selected: int, field: str) -> None:
        """Raise BoundExceededError if a policy selects too many pods. `field`: the one that selects them."""
        if selected > self.pods_per_policy:
            raise BoundExceededError(
                "TooManyPods",
                f"{field} selects {selected} pods: the administrator allows {self.pods_per_policy} for a policy "
                "(policyBounds.podsPerPolicy). Use several policies that select fewer pods each",
            )

    def check_policies(self, older: int) -> None:
        """Raise BoundExceededError for a policy with too many older ones in its namespace."""
        if older >= self.policies_per_namespace:
            raise BoundExceededError(
                "TooManyPolicies",
                f"this policy is number {older + 1} of its namespace by age: the administrator allows "
                f"{self.policies_per_namespace} (policyBounds.policiesPerNamespace). Delete others, or let a policy "
                "select the pods of several workloads",
            )


UNBOUNDED = PolicyBounds()
"""Bounds without a configuration."""
