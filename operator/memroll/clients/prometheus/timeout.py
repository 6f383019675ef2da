"""One deadline for a whole exchange, kept even against a server that sends a byte now and then."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Deadline:
    """A point in time on the monotonic clock."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self._end = time.monotonic() + after_s

    @property
    def left_s(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        return self.left_s <= 0.0


@contextmanager
def hanging_up(hang_up: Callable[[], object], after_s: float) -> Iterator[None]:
    """Call `hang_up` unless the block ends in time.

    A socket's timeout starts anew with every byte, so only closing it from another thread bounds the whole.
    """

    def quietly() -> None:
        with suppress(OSError, ValueError, RuntimeError):  # it ended by itself meanwhile
            hang_up()

    timer = threading.Timer(after_s, quietly)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
