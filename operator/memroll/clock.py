"""Clocks of the process. `cli`, `controller` and `clients` call them; all other layers take the time as an argument."""

import time
from datetime import UTC, datetime

_MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the only place where the ban of datetime.now does not apply


def elapsed_s() -> float:
    """Return seconds that only grow; on Linux they include the time for which the machine was suspended.

    Python's monotonic clock does not: after a resume, a Lease that another process has acquired would seem to be held.
    """
    return time.clock_gettime(_MONOTONIC)
