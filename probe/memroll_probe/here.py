"""The one watch of this process."""

from __future__ import annotations

import functools

from memroll_probe.settings import Settings
from memroll_probe.watch import Watch


@functools.cache
def current() -> Watch:
    """Return this process's watch, as the environment says."""
    return Watch(Settings.from_environment(), _listen)


def _listen(watch: Watch, host: str, port: int) -> int:
    from memroll_probe.serving import listen  # noqa: PLC0415 - most services need no server of ours

    return listen(watch, host, port)
