"""Slowdown of this machine by its other work: the end-to-end tests scale loads and timeouts by it."""

from __future__ import annotations

import time
from functools import cache

MEASURED_CPU_S = 0.5
"""CPU time of one measurement in seconds. Chosen by hand: longer than the scheduler's time slices."""
NORMAL_SLOWDOWN = 3.0
"""Slowdown that the end-to-end tests themselves cause: 2.35 was measured on a quiet machine as they start."""


@cache
def slowdown() -> float:
    """Return how many times longer than usual a computation takes, at least 1, as measured at the first call.

    Not called at import: then all processes of the test run would measure each other.
    """
    started_s, used_s = time.monotonic(), time.thread_time()
    while time.thread_time() - used_s < MEASURED_CPU_S:
        pass
    return max(1.0, (time.monotonic() - started_s) / MEASURED_CPU_S / NORMAL_SLOWDOWN)
