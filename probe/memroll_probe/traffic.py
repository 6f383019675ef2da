"""Counts requests: those begun, and those under way."""

from __future__ import annotations

import threading
from collections import deque


class Traffic:
    """Exact under threads: `+=` on an attribute is two steps."""

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
            self._settle()
            return self._in_flight

    @property
    def websockets(self) -> int:
        return self._websockets

    def request_begins(self) -> None:
        with self._lock:
            self._settle()
            self._total += 1
            self._in_flight += 1

    def request_ends(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def request_is_dropped(self) -> None:
        """End a request from a finalizer. That may run between any two steps, with the lock held: so without it."""
        self._dropped.append(None)

    def websocket_opens(self) -> None:
        with self._lock:
            self._websockets += 1

    def websocket_closes(self) -> None:
        with self._lock:
            self._websockets -= 1

    def _settle(self) -> None:
        while self._dropped:
            self._dropped.pop()
            self._in_flight -= 1
