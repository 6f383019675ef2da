"""Steady load on one URL, and a monitor that detects when its own threads got no CPU time."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.parse
from collections import deque
from dataclasses import dataclass, field
from typing import Self

TIMEOUT_S = 5.0
SAMPLE_INTERVAL_S = 0.05
STARVED_S = 0.5
"""Lag in seconds of a thread from which the machine, not the service, counts as busy."""


class ThreadLagMonitor:
    """Measures how late a sleeping thread of this process wakes up, and thus how late the load's threads are."""

    def __init__(self) -> None:
        self._lags: deque[tuple[float, float]] = deque(maxlen=2000)
        self.max_lag_s = 0.0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            before = time.monotonic()
            time.sleep(SAMPLE_INTERVAL_S)
            after = time.monotonic()
            lag_s = after - before - SAMPLE_INTERVAL_S
            self.max_lag_s = max(self.max_lag_s, lag_s)
            if lag_s >= STARVED_S:
                self._lags.append((before, after))

    def was_lagging(self, begin: float, end: float) -> bool:
        return any(before < end and after > begin for before, after in list(self._lags))


THREAD_LAG = ThreadLagMonitor()


@dataclass
class LoadGenerator:
    """Sends requests to one URL until stopped: each over a new connection, or all over a few kept connections."""

    url: str
    per_s: float = 20.0
    keep_alive: bool = False
    served: int = 0
    failures: list[str] = field(default_factory=list)
    starved: list[str] = field(default_factory=list)
    """Failures while this process itself got no CPU time; they are also in `failures`."""
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
            self._request(connection, url.path or "/")
        connection.close()

    def _request(self, connection: http.client.HTTPConnection, path: str) -> None:
        sent_at, begin = time.strftime("%H:%M:%S"), time.monotonic()
        try:
            connection.request("GET", path, headers={} if self.keep_alive else {"Connection": "close"})
            response = connection.getresponse()
            response.read()
            failure = "" if response.status == http.client.OK else f"status {response.status}"
        except (OSError, http.client.HTTPException) as error:
            failure = f"{type(error).__name__} {error}"
            connection.close()
        if not self.keep_alive:
            connection.close()
        with self._lock:
            self._count(failure and f"{sent_at} {'kept ' * self.keep_alive}{failure}", begin)

    def _count(self, failure: str, begin: float) -> None:
        if not failure:
            self.served += 1
            return
        self.failures.append(failure)
        if THREAD_LAG.was_lagging(begin, time.monotonic()):
            self.starved.append(failure)
