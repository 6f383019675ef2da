"""Detection parameters of one container: the policy's values, with its limit and the duration of a roll filled in.

`assess`, the comparison after a roll (`reconcile.effect`) and the backtest build them from a policy, once for each
container; all checks read them. Every duration of the detector is a ratio of the window, so that a policy with a
window of one minute is assessed by the same code as one of six hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.policy import OtherMemory

if TYPE_CHECKING:
    from memroll.api.policy import MemoryPolicy

DAY_S = 86_400.0
"""Period of load patterns, in seconds: people sleep at night. The one duration that is no ratio of a window."""
HOUR_S = 3600.0
"""Window, in seconds, from which on `DAY_S` is the period. Shorter windows use `WINDOWS_PER_DAY`; chosen by hand."""
WINDOWS_PER_DAY = 4
"""Windows in a day: 4 windows of the default 6 h. Also the ratio of the long window to the policy's own."""
SHORT_WINDOWS_PER_WINDOW = 3
"""Ratio of the policy's window to the short one, which finds fast leaks: 2 h of 6 h (design note 0004)."""
LONG_STEPS_PER_WINDOW = 6
"""Steps of the long history in a window: an hour each, in a window of 6 h (design note 0023)."""
LONG_LOOKBACK_WINDOWS = 56
"""Length of the long history, in windows: two weeks of 6 h (design note 0023)..."""
MAX_LONG_LOOKBACK_S = 14 * DAY_S
"""...and at most this, in seconds: Prometheus keeps 15 days by default."""
LONG_WINDOWS = (12, 56)
"""Lengths of the windows of the long history, in windows: 3 days and two weeks of 6 h (design note 0023)."""
MIN_LEAD_ROLLS = 3.0
"""Minimum lead time, in roll durations: at least three times what a roll takes (design note 0003)."""


@dataclass(frozen=True, slots=True)
class LeadTimeRule:
    """Time before its limit at which a container is rolled, in seconds."""

    fixed_s: float | None = None
    """Fixed lead time of the policy; None for `Auto`."""
    min_s: float = 0.0
    """Minimum lead time: what a roll takes, with slack, and one interval."""


@dataclass(frozen=True, slots=True)
class DetectionParameters:
    """Parameters by which one container is assessed. Times in seconds."""

    threshold_bytes_per_s: float | None
    """Slope above which growth is a leak; None if the policy gives a percentage and the container has no limit."""
    window_s: float
    """Length of the policy's window."""
    warm_up_s: float
    """Time after the start of a process that no window includes."""
    for_s: float
    """Time for which all checks must have passed before a leak is confirmed (`growth.for`)."""
    usage_threshold: float | None = None
    """Ratio of the limit above which a container is due, whatever its trend; None: no such threshold."""
    lead_time: LeadTimeRule = LeadTimeRule()
    interval_s: float = 0.0
    """Time between two reconciles."""
    roll_other_memory: bool = False
    """True if growth outside of the anonymous memory is a reason to roll a pod (`exhaustion.otherMemory: Roll`)."""
    load_is_cpu: bool = False
    """True if the load is CPU, which memory can cause: a garbage collector works harder, a leaked list is walked."""

    @property
    def windows_s(self) -> tuple[float, ...]:
        """Lengths of the windows in which a leak is looked for, the policy's own first."""
        return self.window_s, WINDOWS_PER_DAY * self.window_s, self.window_s / SHORT_WINDOWS_PER_WINDOW

    @property
    def long_windows_s(self) -> tuple[float, ...]:
        """Lengths of the windows of the long history, the shorter one first."""
        return tuple(w * self.window_s for w in LONG_WINDOWS if w * self.window_s <= self.long_lookback_s)

    @property
    def day_s(self) -> float:
        """Period after which a pattern repeats: a day; four windows if the windows are shorter than an hour."""
        return DAY_S if self.window_s >= HOUR_S else WINDOWS_PER_DAY * self.window_s

    @property
    def lookback_s(self) -> float:
        """Length of the history that an assessment uses."""
        return max(self.day_s, WINDOWS_PER_DAY * self.window_s) + self.window_s + self.for_s

    @property
    def long_step_s(self) -> float:
        """Length of a step of the long history."""
        return self.window_s / LONG_STEPS_PER_WINDOW

    @property
    def long_lookback_s(self) -> float:
        """Length of the long history, which only containers near their limit are assessed with."""
        return max(self.lookback_s, min(LONG_LOOKBACK_WINDOWS * self.window_s, MAX_LONG_LOOKBACK_S))


def build_parameters(
    policy: MemoryPolicy, limit_bytes: int | None, roll_duration_s: float = 0.0
) -> DetectionParameters:
    """Return the policy's parameters for a container with this limit, whose pod takes this long to be rolled.

    `limit_bytes`: the one that counts, as `effective_limit` returns it.
    """
    growth, fixed = policy.spec.growth, policy.spec.exhaustion.lead_time.fixed
    per_hour = growth.per_hour.to_bytes_per_hour(limit_bytes)
    interval_s = policy.spec.interval.total_seconds()
    return DetectionParameters(
        threshold_bytes_per_s=None if per_hour is None else per_hour / 3600,
        window_s=growth.window.total_seconds(),
        warm_up_s=growth.warm_up.total_seconds(),
        for_s=growth.for_.total_seconds(),
        usage_threshold=policy.spec.usage_threshold,
        lead_time=LeadTimeRule(
            None if fixed is None else fixed.total_seconds(), MIN_LEAD_ROLLS * roll_duration_s + interval_s
        ),
        interval_s=interval_s,
        roll_other_memory=policy.spec.exhaustion.other_memory is OtherMemory.ROLL,
        load_is_cpu=policy.spec.load is None,
    )
