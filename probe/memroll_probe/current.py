"""The probe of this process: one ProbeState, made from the environment on first use."""

from __future__ import annotations

import functools

from memroll_probe.settings import ProbeSettings
from memroll_probe.state import ProbeState


@functools.cache
def current() -> ProbeState:
    """Return this process's state."""
    return ProbeState(ProbeSettings.from_environment(), _listen)


def _listen(state: ProbeState, host: str, port: int) -> int:
    from memroll_probe.http_server import listen  # noqa: PLC0415 - most services need no server of the probe's own

    return listen(state, host, port)
