"""Renders the probe's metrics in Prometheus' text format. Cheap: no collection, snapshot or search is made for them."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

from memroll_probe import process
from memroll_probe.naming import FileNames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memroll_probe.state import ProbeState

    Samples = Iterable[tuple[dict[str, str], float]]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_SERIES = 5
"""Maximum number of lines, and of types, with a series of their own. Chosen by hand to bound the cardinality."""


def render(state: ProbeState) -> str:
    files, requests = FileNames(), state.requests
    return "".join(
        [
            _metric("requests_total", "counter", "Requests started.", requests.total),
            _metric("requests_in_flight", "gauge", "Requests in flight, until their last byte.", requests.in_flight),
            _metric("websockets_open", "gauge", "Open websockets.", requests.websockets),
            _metric("uptime_seconds", "gauge", "Time since the probe started in this process.", state.uptime_s()),
            _metric("rss_bytes", "gauge", "Resident memory.", process.rss_bytes()),
            _metric("peak_rss_bytes", "gauge", "Peak resident memory.", process.peak_rss_bytes()),
            _metric("threads", "gauge", "Threads.", threading.active_count()),
            _metric("asyncio_tasks", "gauge", "Tasks of the event loop.", process.count_tasks(state.loop)),
            _metric("traced_bytes", "gauge", "Memory traced by tracemalloc.", state.tracer.traced_bytes()),
            _family("gc_collections_total", "counter", "Collections by generation.", _collections()),
            _family(
                "growth_bytes", "gauge", "Growth from the baseline to the last snapshot.", _line_growth(state, files)
            ),
            _family("type_growth_objects", "gauge", "Growth of the rising types.", _type_growth(state)),
        ]
    )


def _collections() -> Samples:
    return [({"generation": str(g)}, s["collections"]) for g, s in enumerate(gc.get_stats())]


def _line_growth(state: ProbeState, files: FileNames) -> Samples:
    return [({"file": files.shorten(g.file), "line": str(g.line)}, g.bytes) for g in state.tracer.growth(MAX_SERIES)]


def _type_growth(state: ProbeState) -> Samples:
    return [({"type": t.name}, t.growth) for t in state.object_counts.growing_types(MAX_SERIES) if t.rising]


def _metric(name: str, kind: str, help_: str, value: float | None) -> str:
    return _family(name, kind, help_, [] if value is None else [({}, value)])


def _family(name: str, kind: str, help_: str, samples: Samples) -> str:
    rows: dict[str, float] = {}
    for labels, value in samples:  # truncated names may be equal: they are summed to one series
        key = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        rows[key] = rows.get(key, 0) + value
    if not rows:
        return ""
    lines = [f"memroll_probe_{name}{'{' + key + '}' if key else ''} {value:.15g}" for key, value in rows.items()]
    return "\n".join([f"# HELP memroll_probe_{name} {help_}", f"# TYPE memroll_probe_{name} {kind}", *lines, ""])


def _escape(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
