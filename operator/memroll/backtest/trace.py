"""Recorded history of one container: the input of a replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory

DAY_S = 86_400.0
"""Duration of a day, in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Samples of one container and known facts. RSS or working set has at least one sample; all times share a clock."""

    name: str
    history: ContainerHistory
    workload: str = ""
    """Name of the workload. Traces of one workload are peers; empty: no peers."""
    label: str = ""
    """Known truth, such as "leak"; empty if unknown."""
    onset_s: float | None = None
    """Known time at which the leak began; None if unknown."""
    oom_s: float | None = None
    """Time of the OOM kill; None if there was none."""
    interval_s: float | None = None
    """Scrape interval in seconds; None if unknown."""

    @property
    def start_s(self) -> float:
        return self.history.started_at_s

    @property
    def end_s(self) -> float:
        return self.history.rss.last_s if len(self.history.rss) else self.history.working_set.last_s

    @property
    def has_memory(self) -> bool:
        """True if there are samples of both RSS and working set, which every assessment needs."""
        return bool(len(self.history.rss) and len(self.history.working_set))

    @property
    def sample_ratio(self) -> float | None:
        """Ratio of the RSS samples to the scrapes of the trace's time; None without the scrape interval."""
        if self.interval_s is None:
            return None
        scrapes = 1 + int((self.end_s - self.start_s) / self.interval_s)
        return len(self.history.rss) / scrapes

    @property
    def days(self) -> float:
        return (self.end_s - self.start_s) / DAY_S

    def evaluation_times_s(self, interval_s: float) -> NDArray[np.float64]:
        """Return the times at which the trace is evaluated: every interval from its start to its last sample."""
        count = int((self.end_s - self.start_s) / interval_s)
        return self.start_s + interval_s * np.arange(1.0, count + 1)
