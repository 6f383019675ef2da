"""Samples of one container instance, with what an assessment needs besides: start, limit, load and OOM kills."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memroll.detection.series import EMPTY

if TYPE_CHECKING:
    from memroll.detection.samples import SeriesRow
    from memroll.detection.series import Series


@dataclass(frozen=True, slots=True, eq=False)
class ContainerHistory:
    """History of one container instance."""

    rss: Series
    """Anonymous memory in bytes, which a leak fills: for the trend."""
    working_set: Series
    """Memory in bytes that counts against the limit, active page cache included."""
    started_at_s: float
    """Start of the instance, in seconds since the epoch."""
    limit_bytes: int | None
    """Memory limit; None without one."""
    load: Series = EMPTY
    """Load in any unit, such as CPU cores or requests per second. Empty if unknown."""
    oom_kills_s: tuple[float, ...] = ()
    """Times at which the kernel killed one of the container's processes."""
    active_file: Series = EMPTY
    """Active page cache in bytes: the part of the working set that the kernel can take back. Empty if unknown."""
    swap: Series = EMPTY
    """Swapped-out memory in bytes, which is not part of the working set. Empty if unknown."""
    minima: Series = EMPTY
    """Minimum of the RSS in each step of the long history; a step's time is its end. Empty if it was not read."""
    maxima: Series = EMPTY
    """Maximum of the RSS in the same steps."""
    unreclaimable: Series = EMPTY
    """Memory that the kernel can't take back, at the times of the working set; empty until it is computed."""

    @property
    def usage(self) -> Series:
        """Memory in bytes that the distance to the limit is measured on."""
        return self.unreclaimable if len(self.unreclaimable) else self.working_set

    def as_of(self, now_s: float, back_s: float = float("inf")) -> ContainerHistory:
        """Return what was known at `now_s` of the `back_s` seconds before it, and of the whole long history."""
        return replace(
            self,
            rss=self.rss.between(now_s - back_s, now_s),
            working_set=self.working_set.between(now_s - back_s, now_s),
            load=self.load.between(now_s - back_s, now_s),
            active_file=self.active_file.between(now_s - back_s, now_s),
            swap=self.swap.between(now_s - back_s, now_s),
            unreclaimable=self.unreclaimable.between(now_s - back_s, now_s),
            minima=self.minima.until(now_s),
            maxima=self.maxima.until(now_s),
            oom_kills_s=tuple(t for t in self.oom_kills_s if t <= now_s),
        )

    def between(self, start_s: float, end_s: float) -> ContainerHistory:
        """Return a part of the history as an instance of its own."""
        return replace(
            self,
            rss=self.rss.between(start_s, end_s),
            working_set=self.working_set.between(start_s, end_s),
            load=self.load.between(start_s, end_s),
            active_file=self.active_file.between(start_s, end_s),
            swap=self.swap.between(start_s, end_s),
            unreclaimable=self.unreclaimable.between(start_s, end_s),
            minima=self.minima.between(start_s, end_s),
            maxima=self.maxima.between(start_s, end_s),
            started_at_s=max(start_s, self.started_at_s),
            oom_kills_s=tuple(t for t in self.oom_kills_s if start_s < t <= end_s),
        )


def build_history(row: SeriesRow, started_at_s: float, limit_bytes: int | None) -> ContainerHistory:
    """Build the history of a container from its samples. An OOM kill is where the counter rises."""
    rises = row.ooms.values[1:] > row.ooms.values[:-1]
    kills = tuple(float(t) for t in row.ooms.times_s[1:][rises])
    return ContainerHistory(
        row.rss, row.working_set, started_at_s, limit_bytes, row.load, kills, row.active_file, row.swap
    )
