"""Counts requests: those begun, and those under way."""

from __future__ import annotations

import threading


class Traffic:
    """Exact under threads: `+=` on an attribute is two steps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = 0
        self.in_flight = 0
        self.websockets = 0

    def request_begins(self) -> None:
        with self._lock:
            self.total += 1
            self.in_flight += 1

    def request_ends(self) -> None:
        with self._lock:
            self.in_flight -= 1

    def websocket_opens(self) -> None:
        with self._lock:
            self.websockets += 1

    def websocket_closes(self) -> None:
        with self._lock:
            self.websockets -= 1
