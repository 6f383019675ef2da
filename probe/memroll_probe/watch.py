"""Everything that the probe knows about this process, and the one thread that looks.

A server forks workers after the application was made: so the thread starts with the first request, and a fork begins
anew.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from memroll_probe.census import Census
from memroll_probe.looker import NEVER, Job, Looker
from memroll_probe.tracing import Tracing
from memroll_probe.traffic import Traffic
from memroll_probe.turns import Turns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from memroll_probe.exchange import Response
    from memroll_probe.settings import Settings

    Listen = Callable[["Watch", str, int], int]

log = logging.getLogger("memroll_probe")

LEAST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 3_600.0


class Watch:
    def __init__(self, settings: Settings, listen: Listen, clock: Callable[[], float] = time.monotonic) -> None:
        """Watch this process. `listen` serves its report on a host and port; it returns the port or raises OSError."""
        self.settings, self._listen, self._clock = settings, listen, clock
        self.begin()
        _WATCHES.add(self)

    def begin(self) -> None:
        """Begin at nothing: at the start, and in a forked child, where the parent's threads and locks are gone."""
        self._began_at = self._clock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.traffic, self.tracing, self.census = Traffic(), Tracing(self._clock), Census()
        self.turns: Turns[Response] = Turns()
        self.looker = Looker(self.settings, self.tracing, self.census, self._clock)
        self._own_port = Job("port", self._bind, self._began_at if self.settings.port else NEVER)
        self.looker.add(self._own_port)
        self._awake, self._waking, self._news = False, threading.Lock(), threading.Event()
        self._ended = threading.Event()

    def uptime_s(self) -> float:
        return self._clock() - self._began_at

    def problems(self) -> list[str]:
        return [*self.settings.problems, *self.looker.troubles()]

    def wake(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Start the thread and the warm-up, once. Called with each request, so the way out is short."""
        if self._awake:
            return
        with self._waking:
            if not self._awake:
                self.loop, self._awake = loop, True
                self.looker.warm_up()
                looks = (self.looker, self._news, self._ended)
                threading.Thread(target=self._look, args=looks, name="memroll-probe", daemon=True).start()

    def look_again(self) -> None:
        """Let the thread see what was asked of it."""
        self._news.set()

    def end(self) -> None:
        """Look no more. What is being looked at is finished first; the counting of requests goes on."""
        self._ended.set()
        self._news.set()

    def describe_tracing(self) -> dict[str, object]:
        return self.tracing.describe(waiting=self.looker.waiting)

    def serve(self, host: str, port: int) -> int | None:
        """Serve the report from a thread, on a port or on the one of the settings; None, and a warning: it is taken."""
        try:
            bound = self._listen(self, host, port or self.settings.port)
        except OSError as error:
            log.warning("memroll_probe cannot listen on port %d: %s", port or self.settings.port, error.strerror)
            return None
        if bound == self.settings.port:
            self._own_port.due_at = NEVER
        self.wake(self.loop)
        return bound

    def _bind(self) -> None:
        """Take the port of our own. Of several workers one has it; the next takes it over when that one ends."""
        self._listen(self, "", self.settings.port)

    @staticmethod
    def _look(looker: Looker, news: threading.Event, ended: threading.Event) -> None:
        while not ended.is_set():
            news.wait(min(LONGEST_PAUSE_S, max(LEAST_PAUSE_S, looker.step())))
            news.clear()


_WATCHES: weakref.WeakSet[Watch] = weakref.WeakSet()


def _begin_anew() -> None:
    for watch in list(_WATCHES):
        watch.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
