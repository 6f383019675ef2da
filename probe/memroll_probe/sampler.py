"""Schedules the probe's periodic work. Single-threaded; the caller owns the thread and the clock."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from memroll_probe.errors import ResourceLimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_probe.object_counts import ObjectCounts
    from memroll_probe.settings import ProbeSettings
    from memroll_probe.tracing import Tracer

log = logging.getLogger("memroll_probe")

MIN_RETRY_S = 10.0
"""Minimum time until failed work is tried again, in seconds. Chosen by hand."""
NEVER = math.inf


class ScheduledJob:
    """Work that is due once or periodically."""

    def __init__(self, name: str, work: Callable[[], object], due_at: float = NEVER, every_s: float = NEVER) -> None:
        self.name, self.work, self.due_at, self.every_s = name, work, due_at, every_s

    def reschedule(self, now: float, min_pause_s: float) -> None:
        """Set the next time. The pause grows with the duration of the work."""
        self.due_at = now + max(self.every_s, min_pause_s)


class Sampler:
    def __init__(
        self,
        settings: ProbeSettings,
        tracer: Tracer,
        object_counts: ObjectCounts,
        clock: Callable[[], float],
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._settings, self._tracer = settings, tracer
        self._clock, self._work_clock = clock, work_clock
        self._errors: dict[str, str] = {}
        every_s = settings.interval_s or NEVER
        self._start_job = ScheduledJob("tracing", self.start_tracing)
        self._baseline_job = ScheduledJob("baseline", self.take_baseline)
        self._snapshot_job = ScheduledJob("growth", self._take_snapshot, NEVER, every_s)
        self._finish_job = ScheduledJob("end of tracing", self._finish_tracing)
        self._types_job = ScheduledJob("types", object_counts.sample, NEVER, every_s)
        self._jobs = [self._start_job, self._types_job, self._baseline_job, self._snapshot_job, self._finish_job]

    def start_warm_up(self) -> None:
        """Start the warm-up, once the service is up. A service that is traced while it starts may fail to."""
        now, warmup_s, every_s = self._clock(), self._settings.warmup_s, self._types_job.every_s
        self._start_job.due_at = NEVER if warmup_s is None else now + warmup_s
        self._types_job.due_at = now + (every_s if warmup_s is None or every_s == NEVER else warmup_s)

    def errors(self) -> list[str]:
        """Return the jobs that failed in their last run."""
        return [f"{name}: {error}" for name, error in list(self._errors.items())]

    def add(self, job: ScheduledJob) -> None:
        self._jobs.append(job)

    @property
    def start_pending(self) -> bool:
        """True if tracing will start after the warm-up."""
        return self._start_job.due_at < NEVER

    def start_tracing(self) -> None:
        """Start tracing now. The baseline follows when bounded caches have had time to turn over."""
        self._start_job.due_at = NEVER
        self._tracer.start(self._settings.frames)
        self._baseline_job.due_at = self._clock() + self._settings.settle_s
        trace_s = self._settings.trace_s
        self._finish_job.due_at = NEVER if trace_s is None else self._baseline_job.due_at + trace_s

    def stop_tracing(self) -> None:
        self._cancel_tracing_jobs()
        self._tracer.stop()

    def _finish_tracing(self) -> None:
        self._cancel_tracing_jobs()
        self._tracer.finish()

    def _cancel_tracing_jobs(self) -> None:
        for job in (self._start_job, self._baseline_job, self._snapshot_job, self._finish_job):
            job.due_at = NEVER

    def take_baseline(self) -> None:
        self._tracer.take_baseline()
        self._baseline_job.due_at, self._snapshot_job.due_at = NEVER, self._clock() + self._snapshot_job.every_s

    def run_due_jobs(self) -> float:
        """Run the jobs that are due and return the seconds until the next one is."""
        for job in self._jobs:
            if self._clock() >= job.due_at:
                job.due_at = NEVER  # the work may set it
                began_at = self._work_clock()
                retry_s = self._run(job)
                spent_s = self._work_clock() - began_at
                if retry_s is not None:
                    job.due_at = self._clock() + retry_s
                elif job.every_s < NEVER:
                    job.reschedule(self._clock(), spent_s / self._settings.time_ratio)
        return max(0.0, min(job.due_at for job in self._jobs) - self._clock())

    def _run(self, job: ScheduledJob) -> float | None:
        """Run a job. On failure, store the error and return the seconds until the next try."""
        try:
            job.work()
        except ResourceLimitError as error:
            self._errors[job.name] = str(error)
        except Exception as error:  # it must not harm the service
            log.debug("%s failed", job.name, exc_info=True)
            self._errors[job.name] = type(error).__name__
        else:
            self._errors.pop(job.name, None)
            return None
        return max(MIN_RETRY_S, job.every_s if job.every_s < NEVER else 0.0)

    def _take_snapshot(self) -> None:
        self._tracer.take_snapshot(NEVER)
