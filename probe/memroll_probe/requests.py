"""Counts of requests, in flight and in total, and of open websockets."""

from __future__ import annotations

import threading
from collections import deque


class RequestCounter:
    """Counters with a lock: `+=` on an attribute is two steps, and threads would lose counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = self._in_flight = self._websockets = 0
        self._dropped: deque[None] = deque()

    @property
    def total(self) -> int:
        return self._total

    @property
    def in_flight(self) -> int:
        with self._lock:
            self._subtract_dropped()
            return self._in_flight

    @property
    def websockets(self) -> int:
        return self._websockets

    def begin_request(self) -> None:
        with self._lock:
            self._subtract_dropped()
            self._total += 1
            self._in_flight += 1

    def end_request(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def drop_request(self) -> None:
        """End a request from a finalizer. Takes no lock: a finalizer may run while this thread holds it."""
        self._dropped.append(None)

    def open_websocket(self) -> None:
        with self._lock:
            self._websockets += 1

    def close_websocket(self) -> None:
        with self._lock:
            self._websockets -= 1

    def _subtract_dropped(self) -> None:
        while self._dropped:
            self._dropped.pop()
            self._in_flight -= 1
