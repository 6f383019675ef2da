"""The gauges, in Prometheus' text format. Cheap: nothing is collected, traced or looked through for them."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

from memroll_probe import process
from memroll_probe.naming import Files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memroll_probe.watch import Watch

    Samples = Iterable[tuple[dict[str, str], float]]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST = 5


def text(watch: Watch) -> str:
    """Return the exposition: the most of lines and types that have a label of their own is MOST."""
    files = Files()
    return "".join(
        [
            _one("requests_total", "counter", "Requests begun.", watch.traffic.total),
            _one("requests_in_flight", "gauge", "Requests under way, until their last byte.", watch.traffic.in_flight),
            _one("websockets_open", "gauge", "Websockets open.", watch.traffic.websockets),
            _one("uptime_seconds", "gauge", "Since the probe began in this process.", watch.uptime_s()),
            _one("rss_bytes", "gauge", "Resident memory.", process.rss_bytes()),
            _one("peak_rss_bytes", "gauge", "The most that was ever resident.", process.peak_rss_bytes()),
            _one("threads", "gauge", "Threads.", threading.active_count()),
            _one("asyncio_tasks", "gauge", "Tasks of the event loop.", process.task_count(watch.loop)),
            _one("traced_bytes", "gauge", "What tracemalloc has traced.", watch.tracing.traced_bytes()),
            _many("gc_collections_total", "counter", "Collections by generation.", _collections()),
            _many("growth_bytes", "gauge", "Growth since the baseline, at the last look.", _growth(watch, files)),
            _many("type_growth_objects", "gauge", "Growth of types that still rise.", _types(watch)),
        ]
    )


def _collections() -> Samples:
    return [({"generation": str(g)}, s["collections"]) for g, s in enumerate(gc.get_stats())]


def _growth(watch: Watch, files: Files) -> Samples:
    return [({"file": files.short(g.file), "line": str(g.line)}, g.bytes) for g in watch.tracing.growth(MOST)]


def _types(watch: Watch) -> Samples:
    return [({"type": t.name}, t.growth) for t in watch.census.growing(MOST) if t.rising]


def _one(name: str, kind: str, help_: str, value: float | None) -> str:
    return _many(name, kind, help_, [] if value is None else [({}, value)])


def _many(name: str, kind: str, help_: str, samples: Samples) -> str:
    rows: dict[str, float] = {}
    for labels, value in samples:  # names that were cut may be the same: one row each
        key = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        rows[key] = rows.get(key, 0) + value
    if not rows:
        return ""
    lines = [f"memroll_probe_{name}{'{' + key + '}' if key else ''} {value:.15g}" for key, value in rows.items()]
    return "\n".join([f"# HELP memroll_probe_{name} {help_}", f"# TYPE memroll_probe_{name} {kind}", *lines, ""])


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
