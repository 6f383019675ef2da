"""What leaks in this process. Off unless MEMROLL_PROBE=1; standard library only; never raises into the service.

`asgi.Probe(app)` and `wsgi.Probe(app)` are middleware, `serve()` is for services that are neither, and
`python -m memroll_probe -- COMMAND` adds the middleware from outside.
"""

from __future__ import annotations

__version__ = "0.1.0"

SCHEMA = "memroll-probe/1"


def serve(port: int = 0, host: str = "") -> int | None:
    """Serve the report from a daemon thread and return the port; None: switched off, or the port is taken."""
    from memroll_probe.settings import Settings  # noqa: PLC0415 - nothing is loaded into a service that does not ask

    if not Settings.from_environment().on:
        return None
    from memroll_probe.here import current  # noqa: PLC0415 - the same

    return current().serve(host, port)
