"""Reports progress on standard error, each line with the seconds since the start."""

import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

Reporter = Callable[[str], None]
"""Function that reports one line of progress."""


class Progress:
    """Reporter that prints one line per step. Thread-safe."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()

    def __call__(self, message: str) -> None:
        with self._lock:
            print(f"[{self._clock() - self._start:6.1f}s] {message}", file=self._stream, flush=True)
