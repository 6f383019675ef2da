"""Timeout of a whole exchange, also with a server that keeps sending single bytes."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Timeout:
    """Timeout that starts at its creation, on the monotonic clock."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._end - time.monotonic())

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
