"""Timeout of a query and of a whole exchange, also with a server that keeps sending single bytes."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Timeout:
    """Timeout of each query of a read, on the monotonic clock.

    It starts when a query runs, and again with the next one: neither the time in a queue nor the number of queries
    counts. The caller of the read watches it from another thread.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.is_abandoned = False
        """True if nobody waits for the read any longer: no further query is sent."""
        self._end: float | None = None

    def start(self) -> None:
        """Start the time of the next query."""
        self._end = time.monotonic() + self.timeout_s

    def abandon(self) -> None:
        self.is_abandoned = True

    @property
    def has_started(self) -> bool:
        return self._end is not None

    @property
    def remaining_s(self) -> float:
        """Remaining time of the current query; all of it before the first one."""
        return self.timeout_s if self._end is None else max(0.0, self._end - time.monotonic())

    def is_expired(self) -> bool:
        return self.remaining_s <= 0.0


@contextmanager
def closing_after(close: Callable[[], object], timeout_s: float) -> Iterator[None]:
    """Call `close` in another thread unless the block ends within the timeout.

    A socket's own timeout restarts with every byte, so only closing the socket bounds the whole exchange.
    """

    def close_quietly() -> None:
        with suppress(OSError, ValueError, RuntimeError):  # closed in the meantime
            close()

    timer = threading.Timer(timeout_s, close_quietly)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
