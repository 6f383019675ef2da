"""State of the probe in one process, and the thread that samples. Called by the middleware and `serve`.

A server forks workers after the application was made. Therefore the thread starts with the first request, and a forked
child starts from an empty state.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from memroll_probe.object_counts import ObjectCounts
from memroll_probe.requests import RequestCounter
from memroll_probe.sampler import NEVER, Sampler, ScheduledJob
from memroll_probe.single_flight import SingleFlight
from memroll_probe.tracing import Tracer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from memroll_probe.messages import Response
    from memroll_probe.settings import ProbeSettings

    Listen = Callable[["ProbeState", str, int], int]

log = logging.getLogger("memroll_probe")

MIN_PAUSE_S = 0.05
"""Minimum pause of the sampling thread, in seconds. Chosen by hand."""
MAX_PAUSE_S = 3_600.0
"""Maximum pause of the sampling thread, in seconds. Chosen by hand."""


class ProbeState:
    def __init__(self, settings: ProbeSettings, listen: Listen, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the state. `listen` serves the report on a host and port, and returns the port or raises OSError."""
        self.settings, self._listen, self._clock = settings, listen, clock
        self.reset()
        _STATES.add(self)

    def reset(self) -> None:
        """Start from an empty state: also in a forked child, where the parent's threads and locks are gone."""
        self._began_at = self._clock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.requests, self.tracer, self.object_counts = RequestCounter(), Tracer(self._clock), ObjectCounts()
        self.single_flight: SingleFlight[Response] = SingleFlight()
        self.sampler = Sampler(self.settings, self.tracer, self.object_counts, self._clock)
        self._port_job = ScheduledJob("port", self._bind, self._began_at if self.settings.port else NEVER)
        self.sampler.add(self._port_job)
        self._started, self._start_lock, self._wake_event = False, threading.Lock(), threading.Event()
        self._stop_event = threading.Event()

    def uptime_s(self) -> float:
        return self._clock() - self._began_at

    def errors(self) -> list[str]:
        return [*self.settings.errors, *self.sampler.errors()]

    def ensure_started(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Start the thread and the warm-up, once. Called with each request, so the common case returns early."""
        if self._started:
            return
        with self._start_lock:
            if not self._started:
                self.loop, self._started = loop, True
                self.sampler.start_warm_up()
                arguments = (self.sampler, self._wake_event, self._stop_event)
                threading.Thread(target=self._sample, args=arguments, name="memroll-probe", daemon=True).start()

    def wake_sampler(self) -> None:
        """Wake the thread, so that it observes a new due time."""
        self._wake_event.set()

    def stop(self) -> None:
        """Stop sampling. Work in progress is finished first, and requests are still counted."""
        self._stop_event.set()
        self._wake_event.set()

    def describe_tracing(self) -> dict[str, object]:
        return self.tracer.describe(start_pending=self.sampler.start_pending)

    def serve(self, host: str, port: int) -> int | None:
        """Serve the report from a thread and return the port, by default the one of the settings.

        Return None and log a warning if the port is taken.
        """
        try:
            bound = self._listen(self, host, port or self.settings.port)
        except OSError as error:
            log.warning("memroll_probe cannot listen on port %d: %s", port or self.settings.port, error.strerror)
            return None
        if bound == self.settings.port:
            self._port_job.due_at = NEVER
        self.ensure_started(self.loop)
        return bound

    def _bind(self) -> None:
        """Take the probe's own port. One of several workers has it; when that one ends, another takes it over."""
        self._listen(self, "", self.settings.port)

    @staticmethod
    def _sample(sampler: Sampler, wake_event: threading.Event, stop_event: threading.Event) -> None:
        while not stop_event.is_set():
            wake_event.wait(min(MAX_PAUSE_S, max(MIN_PAUSE_S, sampler.run_due_jobs())))
            wake_event.clear()


_STATES: weakref.WeakSet[ProbeState] = weakref.WeakSet()


def _reset_in_child() -> None:
    for state in list(_STATES):
        state.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
