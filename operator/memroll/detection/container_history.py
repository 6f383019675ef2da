"""What is judged, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.detection.series import EMPTY

if TYPE_CHECKING:
    from memroll.detection.series import Series

DAY_S = 86_400.0
"""People sleep at night: the one period that is no share of a window."""
WINDOWS_A_DAY = 4
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class LeadRule:
    """How long before its limit a pod is rolled, in seconds."""

    fixed_s: float | None = None
    """None: Auto."""
    least_s: float = 0.0
    """What a roll needs, with some slack: never less than this."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as a leak, for one container. Times in seconds."""

    threshold_bytes_per_s: float | None
    """None: the policy gives a share of the limit and the container has none."""
    window_s: float
    warm_up_s: float
    persist_s: float
    ceiling_share: float | None = None
    lead: LeadRule = LeadRule()
    interval_s: float = 0.0
    """How long until the next look."""

    @property
    def windows_s(self) -> tuple[float, ...]:
        """The family of windows in which a leak is looked for, the policy's own first."""
        return self.window_s, WINDOWS_A_DAY * self.window_s, self.window_s / 3

    @property
    def day_s(self) -> float:
        """How far back the like of now is: a day; four windows where the windows are shorter than an hour."""
        return DAY_S if self.window_s >= HOUR_S else WINDOWS_A_DAY * self.window_s

    @property
    def lookback_s(self) -> float:
        """How much of the past a judgement uses."""
        return max(self.day_s, WINDOWS_A_DAY * self.window_s) + self.window_s + self.persist_s


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One container instance with its samples."""

    rss: Series
    """Anonymous memory, which a leak fills: for the trend. Bytes."""
    working_set: Series
    """What counts against the limit: for the distance to it. Bytes."""
    started_at_s: float
    limit_bytes: int | None
    load: Series = EMPTY
    """What it had to do, in any unit: CPU cores or requests per second. Empty when unknown."""
    ooms_s: tuple[float, ...] = ()
    """When the kernel killed one of its processes."""

    def seen(self, now_s: float, back_s: float = float("inf")) -> Subject:
        """Return what was known at `now_s` of the `back_s` seconds before it."""
        return replace(
            self,
            rss=self.rss.between(now_s - back_s, now_s),
            working_set=self.working_set.between(now_s - back_s, now_s),
            load=self.load.between(now_s - back_s, now_s),
            ooms_s=tuple(t for t in self.ooms_s if t <= now_s),
        )

    def between(self, start_s: float, end_s: float) -> Subject:
        """Return one segment of its life as an instance of its own."""
        return replace(
            self,
            rss=self.rss.between(start_s, end_s),
            working_set=self.working_set.between(start_s, end_s),
            load=self.load.between(start_s, end_s),
            started_at_s=max(start_s, self.started_at_s),
            ooms_s=tuple(t for t in self.ooms_s if start_s < t <= end_s),
        )
