"""A report as JSON of a bounded size. Pure."""

from __future__ import annotations

import json
from typing import Any

# A quarter of the least size that the settings allow: the outline alone always fits.
ERROR_CHARACTERS, ERRORS = 160, 20
# Not json.dumps: there are services that replace it by one with other defaults.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode(report: dict[str, Any], most_bytes: int) -> bytes:
    """Return the report's JSON, cut until it fits: call paths first, then hints, then entries from the end."""
    report = {**report, "errors": [e[:ERROR_CHARACTERS] for e in report["errors"][:ERRORS]]}
    if len(body := _dump(report)) <= most_bytes:
        return body
    report = {**report, "truncated": True, "growth": [{**g, "traceback": []} for g in report["growth"]]}
    if len(body := _dump(report)) <= most_bytes:
        return body
    report["types"] = [{**t, "referrers": [], "chain": []} for t in report["types"]]
    while len(body := _dump(report)) > most_bytes:
        longest = max(("growth", "types", "errors"), key=lambda part: len(_dump(report[part])))
        if not report[longest]:
            return _dump({"schema": report["schema"], "truncated": True})
        report[longest] = report[longest][:-1]
    return body


def _dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("ascii")
