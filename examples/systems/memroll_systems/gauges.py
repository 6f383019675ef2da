"""Gauges in Prometheus' text format, including the resident memory of the process."""

from __future__ import annotations

import resource
from pathlib import Path

from starlette.responses import PlainTextResponse

STATM_RESIDENT = 1


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[STATM_RESIDENT]
    return int(pages) * resource.getpagesize()


def metrics_response(**gauges: float) -> PlainTextResponse:
    """Return a response with these gauges and the resident memory."""
    gauges["process_resident_memory_bytes"] = resident_bytes()
    lines = [f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges.items()]
    return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4")
