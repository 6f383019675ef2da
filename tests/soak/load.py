"""A steady load on one address, and a witness of whether its own threads got to run."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.parse
from collections import deque
from dataclasses import dataclass, field
from typing import Self

TIMEOUT_S = 5.0
BEAT_S = 0.05
STARVED_S = 0.5
"""A thread that wakes this much too late shows that the machine, not the service, was busy."""


class Heart:
    """Beats in the load's own process: how late it beats is how late the load's threads are."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque(maxlen=2000)
        self.worst_s = 0.0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            before = time.monotonic()
            time.sleep(BEAT_S)
            after = time.monotonic()
            late_s = after - before - BEAT_S
            self.worst_s = max(self.worst_s, late_s)
            if late_s >= STARVED_S:
                self._late.append((before, after))

    def stopped_within(self, begin: float, end: float) -> bool:
        return any(before < end and after > begin for before, after in list(self._late))


HEART = Heart()


@dataclass
class Load:
    """Requests to one address until stopped: a new connection each, or few connections that are kept."""

    url: str
    per_s: float = 20.0
    keep_alive: bool = False
    served: int = 0
    failures: list[str] = field(default_factory=list)
    starved: list[str] = field(default_factory=list)
    """The failures of moments in which this process itself did not get to run; they are among `failures`, too."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, threads: int = 4) -> Self:
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT_S)

    def _run(self) -> None:
        url = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT_S)
        while not self._stop.wait(len(self._threads) / self.per_s):
            self._ask(connection, url.path or "/")
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> None:
        asked_at, begin = time.strftime("%H:%M:%S"), time.monotonic()
        try:
            connection.request("GET", path, headers={} if self.keep_alive else {"Connection": "close"})
            answer = connection.getresponse()
            answer.read()
            trouble = "" if answer.status == http.client.OK else f"status {answer.status}"
        except (OSError, http.client.HTTPException) as error:
            trouble = f"{type(error).__name__} {error}"
            connection.close()
        if not self.keep_alive:
            connection.close()
        with self._lock:
            self._count(trouble and f"{asked_at} {'kept ' * self.keep_alive}{trouble}", begin)

    def _count(self, failure: str, begin: float) -> None:
        if not failure:
            self.served += 1
            return
        self.failures.append(failure)
        if HEART.stopped_within(begin, time.monotonic()):
            self.starved.append(failure)
