"""A token bucket: so many at once, so many a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Bucket:
    """Full at the start."""

    def __init__(self, burst: float, refill_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._refill_s, self._monotonic = burst, refill_s, monotonic
        self._tokens, self._at = burst, monotonic()

    def take(self) -> bool:
        """Take a token, if there is one."""
        at = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (at - self._at) / self._refill_s)
        self._at = at
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
