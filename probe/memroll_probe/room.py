"""Whether the probe's own work still fits: near its memory limit, looking would be what kills the service."""

from __future__ import annotations

from memroll_probe.errors import NotNowError

SHARE = 0.5
"""The leak, and the requests that wait meanwhile, take from the same room."""


def require(what: str, needed_bytes: float, room_bytes: int | None) -> None:
    """Raise NotNowError unless half of the room is enough. `room_bytes`: None where no limit is known."""
    if room_bytes is not None and needed_bytes > SHARE * room_bytes:
        needed_mib, left_mib = needed_bytes / 2**20, room_bytes / 2**20
        raise NotNowError(f"{what} takes {needed_mib:.0f} MiB, and {left_mib:.0f} MiB are left below the limit")
