"""Whether a count that is looked at again and again still rises, or was only high once."""

from __future__ import annotations

from dataclasses import dataclass

# Noise reaches a new high four times in a row by chance once in 120 times at first, and ever more rarely.
RISES = 4
LEAST_RISE = 10


@dataclass
class Tally:
    """One count's past: what a list of counts would tell, in five numbers."""

    baseline: int
    highest: int
    last: int
    rises: int = 0
    before_the_rise: int = 0

    @classmethod
    def first(cls, count: int) -> Tally:
        return cls(baseline=count, highest=count, last=count)

    def see(self, count: int) -> None:
        if count > self.highest:
            self.before_the_rise = self.before_the_rise if self.rises else self.last
            self.rises += 1
        else:
            self.rises = 0
        self.highest, self.last = max(count, self.highest), count

    @property
    def growth(self) -> int:
        return self.last - self.baseline

    @property
    def rising(self) -> bool:
        return self.rises >= RISES and self.last - self.before_the_rise >= LEAST_RISE
