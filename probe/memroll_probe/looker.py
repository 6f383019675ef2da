"""What is looked at when. Plain calls and a clock that is passed in: the thread that waits is the watch's."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from memroll_probe.errors import NotNowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_probe.census import Census
    from memroll_probe.settings import Settings
    from memroll_probe.tracing import Tracing

log = logging.getLogger("memroll_probe")

AGAIN_S = 10.0
NEVER = math.inf


class Job:
    """Something to do once, or again and again: then the more seldom the more work it is."""

    def __init__(self, name: str, work: Callable[[], object], due_at: float = NEVER, every_s: float = NEVER) -> None:
        self.name, self.work, self.due_at, self.every_s = name, work, due_at, every_s

    def done(self, now: float, least_pause_s: float) -> None:
        self.due_at = now + max(self.every_s, least_pause_s)


class Looker:
    def __init__(
        self,
        settings: Settings,
        tracing: Tracing,
        census: Census,
        clock: Callable[[], float],
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._settings, self._tracing = settings, tracing
        self._clock, self._work_clock = clock, work_clock
        self._troubles: dict[str, str] = {}
        every_s = settings.interval_s or NEVER
        self._begin = Job("tracing", self.start_tracing)
        self._baseline = Job("baseline", self.take_baseline)
        self._growth = Job("growth", self._look, NEVER, every_s)
        self._end = Job("end of tracing", self._end_tracing)
        self._types = Job("types", census.sample, NEVER, every_s)
        self._jobs = [self._begin, self._types, self._baseline, self._growth, self._end]

    def warm_up(self) -> None:
        """Let the warm-up begin: the service has started. Tracing that falls into a start may make it fail."""
        now, warmup_s, every_s = self._clock(), self._settings.warmup_s, self._types.every_s
        self._begin.due_at = NEVER if warmup_s is None else now + warmup_s
        self._types.due_at = now + (every_s if warmup_s is None or every_s == NEVER else warmup_s)

    def troubles(self) -> list[str]:
        """Return what failed when it was last tried."""
        return [f"{name}: {why}" for name, why in list(self._troubles.items())]

    def add(self, job: Job) -> None:
        self._jobs.append(job)

    @property
    def waiting(self) -> bool:
        """Tell whether tracing will start by itself."""
        return self._begin.due_at < NEVER

    def start_tracing(self) -> None:
        """Start now; the baseline comes when bounded caches had time to turn over."""
        self._begin.due_at = NEVER
        self._tracing.start(self._settings.frames)
        self._baseline.due_at = self._clock() + self._settings.settle_s
        trace_s = self._settings.trace_s
        self._end.due_at = NEVER if trace_s is None else self._baseline.due_at + trace_s

    def stop_tracing(self) -> None:
        self._nothing_due()
        self._tracing.stop()

    def _end_tracing(self) -> None:
        self._nothing_due()
        self._tracing.end()

    def _nothing_due(self) -> None:
        self._begin.due_at = self._baseline.due_at = self._growth.due_at = self._end.due_at = NEVER

    def take_baseline(self) -> None:
        self._tracing.take_baseline()
        self._baseline.due_at, self._growth.due_at = NEVER, self._clock() + self._growth.every_s

    def step(self) -> float:
        """Do what is due and return the seconds until something is."""
        for job in self._jobs:
            if self._clock() >= job.due_at:
                job.due_at = NEVER  # the work may set it
                began = self._work_clock()
                again_s = self._guarded(job)
                spent_s = self._work_clock() - began
                if again_s is not None:
                    job.due_at = self._clock() + again_s
                elif job.every_s < NEVER:
                    job.done(self._clock(), spent_s / self._settings.time_share)
        return max(0.0, min(job.due_at for job in self._jobs) - self._clock())

    def _guarded(self, job: Job) -> float | None:
        """Return nothing, or when to try again: a failure of the probe is named and goes no further."""
        try:
            job.work()
        except NotNowError as reason:
            self._troubles[job.name] = str(reason)
        except Exception as error:  # it must not harm the service
            log.debug("%s failed", job.name, exc_info=True)
            self._troubles[job.name] = type(error).__name__
        else:
            self._troubles.pop(job.name, None)
            return None
        return max(AGAIN_S, job.every_s if job.every_s < NEVER else 0.0)

    def _look(self) -> None:
        self._tracing.look(NEVER)
