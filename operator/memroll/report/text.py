"""The report for a terminal, and as JSON for a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from memroll.api.base import rfc3339
from memroll.rendering import aligned
from memroll.report import describe

if TYPE_CHECKING:
    from memroll.report.leaks import Leak, Leaks, Service

NOTHING = "No leak was seen."


def to_text(found: Leaks) -> str:
    if not found.services:
        return f"{NOTHING} (since {rfc3339(found.since)})"
    said = [describe.comparison(c) for service in found.services for c in service.compared()]
    return "\n".join([aligned([describe.HEAD, *describe.rows(found)]), *([""] if said else []), *said])


def to_json(found: Leaks) -> str:
    content = {
        "generated_at": rfc3339(found.now),
        "since": rfc3339(found.since),
        "services": [_service(s) for s in found.services],
    }
    return json.dumps(content, indent=1, allow_nan=False)


def _service(service: Service) -> dict[str, Any]:
    return {
        "namespace": service.namespace,
        "workload": service.workload,
        "container": service.container,
        "headline": describe.headline(service),
        "comparisons": [
            {"newer": c.newer.name, "older": c.older.name, "times": round(c.times, 2), "words": describe.comparison(c)}
            for c in service.compared()
        ],
        "revisions": [_leak(leak) for leak in service.leaks],
    }


def _leak(leak: Leak) -> dict[str, Any]:
    entry, told = leak.entry, leak.told
    return {
        "revision": entry.revision,
        "image": entry.image,
        "policy": leak.policy,
        "growth_bytes_per_hour": entry.growth_bytes_per_hour,
        "growth_bytes_per_request": entry.growth_bytes_per_request,
        "rolls": entry.rolls,
        "oom_kills_before": entry.oom_kills - entry.oom_kills_since,
        "oom_kills_since": entry.oom_kills_since,
        "freed_bytes": entry.freed_bytes,
        "lines": [{"at": line.at, "bytes": line.bytes} for line in entry.lines],
        "first_seen": rfc3339(entry.first_seen),
        "last_seen": rfc3339(entry.last_seen),
        "podrolls": [r.name for r in leak.rolls],
        "evidence": told.status.evidence.on_the_wire() if told and told.status.evidence else None,
    }
