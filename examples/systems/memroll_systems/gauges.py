"""Gauges in Prometheus' text format, among them how much of the process is resident."""

from __future__ import annotations

import resource
from pathlib import Path

from starlette.responses import PlainTextResponse

STATM_RESIDENT = 1


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[STATM_RESIDENT]
    return int(pages) * resource.getpagesize()


def exposition(**gauges: float) -> PlainTextResponse:
    """Answer with these gauges and the resident memory."""
    gauges["process_resident_memory_bytes"] = resident_bytes()
    lines = [f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges.items()]
    return PlainTextResponse("".join(lines), media_type="text/plain; version=0.0.4")
