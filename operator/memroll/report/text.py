"""Write the leak report as a table for the terminal, and as JSON, YAML or CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import yaml

from memroll.api.base import rfc3339
from memroll.rendering import format_text_table
from memroll.report import describe

if TYPE_CHECKING:
    from memroll.report.leaks import Leak, LeakReport, ServiceLeaks

NO_LEAKS = "No leak observed."


def to_text(report: LeakReport) -> str:
    if not report.services:
        return f"{NO_LEAKS} (since {rfc3339(report.since)})"
    comparisons = [describe.describe_comparison(c) for s in report.services for c in s.compare_revisions()]
    table = format_text_table([describe.HEADER, *describe.table_rows(report)])
    return "\n".join([table, *([""] if comparisons else []), *comparisons])


def to_csv(report: LeakReport) -> str:
    """Return the table as CSV, with a line for each leak."""
    text = io.StringIO()
    rows = [describe.HEADER, *describe.table_rows(report)]
    csv.writer(text, lineterminator="\n").writerows([_as_text(cell) for cell in row] for row in rows)
    return text.getvalue().rstrip("\n")


def _as_text(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: names are those of the tenants."""
    return f"'{cell}" if cell.startswith(("=", "@", "\t", "\r")) else cell


def to_json(report: LeakReport) -> str:
    return json.dumps(to_document(report), indent=1, allow_nan=False)


def to_yaml(report: LeakReport) -> str:
    return yaml.safe_dump(to_document(report), sort_keys=False, width=120).rstrip("\n")


def to_document(report: LeakReport) -> dict[str, Any]:
    """Return the report as a document for programs."""
    return {
        "generated_at": rfc3339(report.now),
        "since": rfc3339(report.since),
        "services": [_service(s) for s in report.services],
    }


def _service(service: ServiceLeaks) -> dict[str, Any]:
    return {
        "namespace": service.namespace,
        "workload": service.workload,
        "container": service.container,
        "headline": describe.headline(service),
        "comparisons": [
            {
                "newer": c.newer.name,
                "older": c.older.name,
                "ratio": round(c.ratio, 2),
                "message": describe.describe_comparison(c),
            }
            for c in service.compare_revisions()
        ],
        "revisions": [_leak(leak) for leak in service.leaks],
    }


def _leak(leak: Leak) -> dict[str, Any]:
    entry, roll = leak.entry, leak.evidence_roll
    return {
        "revision": entry.revision,
        "image": entry.image,
        "policy": leak.policy,
        "growth_bytes_per_hour": entry.growth_bytes_per_hour,
        "growth_bytes_per_request": entry.growth_bytes_per_request,
        "rolls": entry.rolls,
        "oom_kills_before": entry.oom_kills - entry.oom_kills_since,
        "oom_kills_since": entry.oom_kills_since,
        "node_pressure_evictions": entry.node_pressure_evictions,
        "freed_bytes": entry.freed_bytes,
        "lines": [{"at": line.at, "bytes": line.bytes} for line in entry.lines],
        "first_seen": rfc3339(entry.first_seen),
        "last_seen": rfc3339(entry.last_seen),
        "podrolls": [r.name for r in leak.rolls],
        "evidence": roll.status.evidence.to_dict() if roll and roll.status.evidence else None,
    }
