"""Token bucket: a rate limit with bursts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TokenBucket:
    """Bucket of `burst` tokens, full at the start; one token is added every `refill_s` seconds."""

    def __init__(self, burst: float, refill_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._refill_s, self._monotonic = burst, refill_s, monotonic
        self._tokens, self._updated_at = burst, monotonic()

    def take(self) -> bool:
        """Take a token; return False if there is none."""
        self._refill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self) -> float:
        """Take a token, if necessary one of the future; return the seconds until it is there."""
        self._refill()
        self._tokens -= 1
        return max(0.0, -self._tokens * self._refill_s)

    def _refill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._updated_at) / self._refill_s)
        self._updated_at = now
