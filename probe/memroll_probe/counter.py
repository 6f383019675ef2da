"""Distinguishes a count that keeps rising from one that was high once. Called by object_counts and containers."""

from __future__ import annotations

from dataclasses import dataclass

MIN_RISES = 4
"""Minimum number of consecutive new highs of a rising count.

Noise reaches that many by chance once in 120 times at first, and less often later.
"""
MIN_RISE = 10
"""Minimum increase over these new highs, in objects or items. Chosen by hand."""


@dataclass
class GrowthCounter:
    """History of one count: five numbers instead of the list of all counts."""

    baseline: int
    highest: int
    last: int
    rises: int = 0
    before_rise: int = 0

    @classmethod
    def starting_at(cls, count: int) -> GrowthCounter:
        return cls(baseline=count, highest=count, last=count)

    def add(self, count: int) -> None:
        if count > self.highest:
            self.before_rise = self.before_rise if self.rises else self.last
            self.rises += 1
        else:
            self.rises = 0
        self.highest, self.last = max(count, self.highest), count

    @property
    def growth(self) -> int:
        return self.last - self.baseline

    @property
    def rising(self) -> bool:
        return self.rises >= MIN_RISES and self.last - self.before_rise >= MIN_RISE
