"""Window of a container's history, with the trend that is fitted to it.

Built by `leak_checks` and `exhaustion` for each length of window and each instant, and by the comparison after a roll
(`rolling.effect`). All values are computed from samples up to its end, on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from memroll.detection.growth_phase import LongStairs, measure_long_stairs
from memroll.detection.lower_envelope import MAX_BINS, MIN_BINS, SAMPLES_PER_BIN, LowerEnvelope, lower_envelope
from memroll.detection.parameters import WINDOWS_PER_DAY
from memroll.detection.seasonal_slope import seasonal_envelope
from memroll.detection.trend import Trend, fit_trend, median, median_of_sorted, pairwise_slopes

if TYPE_CHECKING:
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

MIN_COVERED_RATIO = 0.8
"""Minimum ratio of a window that its samples must span. Chosen by hand."""
MAX_USABLE_LIMIT_RATIO = 0.95
"""Ratio of the limit below which a projected peak is harmless. Chosen by hand."""
LEVEL_BINS = 3
"""Number of newest bins whose median is the level of the window. Chosen by hand."""


@dataclass(frozen=True)
class TrendWindow:
    """Window of `window_s` seconds that ends at `at_s`. Warm-up samples are not part of it."""

    history: ContainerHistory
    parameters: DetectionParameters
    window_s: float
    at_s: float
    peers: tuple[ContainerHistory, ...] = ()
    warm_up_s: float | None = None
    """Warm-up of this window; None: that of the parameters."""

    @property
    def valid_from_s(self) -> float:
        """End of the warm-up of this process lifetime."""
        warm_up_s = self.parameters.warm_up_s if self.warm_up_s is None else self.warm_up_s
        return self.history.started_at_s + warm_up_s

    @property
    def start_s(self) -> float:
        """Start of the window, not before the end of the warm-up."""
        return max(self.at_s - self.window_s, self.valid_from_s)

    @property
    def is_short(self) -> bool:
        """True if the window is shorter than the policy's."""
        return self.window_s < self.parameters.window_s

    @property
    def is_long(self) -> bool:
        """True if the window is assessed by the long history."""
        return self.window_s > WINDOWS_PER_DAY * self.parameters.window_s

    @cached_property
    def insufficient_data(self) -> str:
        """Description of the data that an assessment lacks; empty if there is enough."""
        series = self.history.minima if self.is_long else self.history.rss
        samples = series.between(self.start_s, self.at_s)
        needed = MIN_BINS * SAMPLES_PER_BIN * MIN_COVERED_RATIO
        if len(samples) < needed:
            return f"{len(samples)} samples in the window of {self.window_s:.0f} s, at least {needed:.0f} needed"
        spanned_s = (samples.last_s - samples.first_s) * (1 + 1 / len(samples))
        if min(spanned_s, self.at_s - self.start_s) < MIN_COVERED_RATIO * self.window_s:
            return f"the samples span {spanned_s:.0f} s of the window of {self.window_s:.0f} s"
        return ""

    @cached_property
    def envelope(self) -> LowerEnvelope:
        """Lower envelope of the anonymous memory."""
        return self._envelope_of(self.start_s, self.at_s)

    def _envelope_of(self, start_s: float, end_s: float) -> LowerEnvelope:
        if self.is_long:
            return seasonal_envelope(self.history.minima, start_s, end_s, self.parameters.day_s, MAX_BINS)
        return lower_envelope(self.history.rss, start_s, end_s)

    @cached_property
    def trend(self) -> Trend:
        """Trend of the lower envelope."""
        return fit_trend(self.envelope, self.at_s - self.start_s)

    @cached_property
    def previous_slope_bytes_per_s(self) -> float | None:
        """Slope of the window before this one; None if too little of it has samples."""
        start_s = max(self.start_s - self.window_s, self.valid_from_s)
        if self.start_s - start_s < MIN_COVERED_RATIO * self.window_s:
            return None
        envelope = self._envelope_of(start_s, self.start_s)
        return median_of_sorted(pairwise_slopes(envelope)) if len(envelope) >= MIN_BINS else None

    @cached_property
    def stairs(self) -> LongStairs:
        """Steps of the long history."""
        return measure_long_stairs(self.history, self.at_s, self.parameters.long_step_s, self.start_s)

    @property
    def level_bytes(self) -> float:
        """Median of the newest bins of the lower envelope."""
        return median(self.envelope.values_bytes[-LEVEL_BINS:])

    @property
    def usable_limit_bytes(self) -> float:
        """Usage below which a projected peak is harmless; 0 without a limit."""
        return MAX_USABLE_LIMIT_RATIO * (self.history.limit_bytes or 0)
