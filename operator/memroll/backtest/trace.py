"""One container of the past, as far as it was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import Subject

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """`subject` holds at least one sample of each memory series; all times are on one clock."""

    name: str
    subject: Subject
    workload: str = ""
    """Traces of one workload are each other's peers; an empty one has none."""
    label: str = ""
    """What people know of it, such as "leak"; empty when nobody does."""
    onset_s: float | None = None
    """When its leak began, as far as people know."""
    oom_s: float | None = None
    """When the kernel killed it."""

    @property
    def start_s(self) -> float:
        return self.subject.started_at_s

    @property
    def end_s(self) -> float:
        return self.subject.rss.last_s

    @property
    def days(self) -> float:
        return (self.end_s - self.start_s) / DAY_S

    def looks_s(self, interval_s: float) -> NDArray[np.float64]:
        """Return when it is judged: each interval since its start, through its last sample."""
        count = int((self.end_s - self.start_s) / interval_s)
        return self.start_s + interval_s * np.arange(1.0, count + 1)
