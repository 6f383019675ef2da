"""Reports which code and which types leak memory in this process.

Off unless MEMROLL_PROBE=1. Uses the standard library only and never raises into the service.

`asgi.Probe(app)` and `wsgi.Probe(app)` are middleware. `serve()` is for services without either interface.
`python -m memroll_probe -- COMMAND` adds the middleware without a code change.
"""

from __future__ import annotations

__version__ = "0.1.0"

SCHEMA = "memroll-probe/1"


def serve(port: int = 0, host: str = "") -> int | None:
    """Serve the report from a daemon thread and return the port; None if the probe is off or the port is taken."""
    from memroll_probe.settings import ProbeSettings  # noqa: PLC0415 - a service without the probe loads nothing

    if not ProbeSettings.from_environment().enabled:
        return None
    from memroll_probe.current import current  # noqa: PLC0415 - the same

    return current().serve(host, port)
