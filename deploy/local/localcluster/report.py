"""Progress on standard error, as it happens, with the seconds since the start."""

import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

Report = Callable[[str], None]


class Progress:
    """Prints one line per step; safe to call from several threads."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()

    def __call__(self, message: str) -> None:
        with self._lock:
            print(f"[{self._clock() - self._start:6.1f}s] {message}", file=self._stream, flush=True)
