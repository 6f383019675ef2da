"""Memory check before expensive work: near the memory limit, the probe's own work could be what kills the service."""

from __future__ import annotations

from memroll_probe.errors import ResourceLimitError

MAX_HEADROOM_RATIO = 0.5
"""Maximum ratio of the headroom that one piece of work may take. The leak and waiting requests take from the rest.

Chosen by hand.
"""


def require(work: str, needed_bytes: float, headroom_bytes: int | None) -> None:
    """Raise ResourceLimitError if the work needs more than half of the headroom. None: no limit is known."""
    if headroom_bytes is not None and needed_bytes > MAX_HEADROOM_RATIO * headroom_bytes:
        needed_mib, left_mib = needed_bytes / 2**20, headroom_bytes / 2**20
        raise ResourceLimitError(f"{work} takes {needed_mib:.0f} MiB, and {left_mib:.0f} MiB are left below the limit")
