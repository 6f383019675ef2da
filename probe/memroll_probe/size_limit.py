"""Encodes a report as JSON of a limited size. Pure; called by the endpoint."""

from __future__ import annotations

import json
from typing import Any

MAX_ERROR_CHARS = 160
"""Maximum length of one error in characters, as in the report's schema."""
MAX_ERRORS = 20
"""Maximum number of errors, as in the report's schema."""
# Not json.dumps: some services replace it by one with other defaults.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode(report: dict[str, Any], max_bytes: int) -> bytes:
    """Return the report's JSON, truncated to fit: first tracebacks, then referrers, then entries from the end."""
    report = {**report, "errors": [e[:MAX_ERROR_CHARS] for e in report["errors"][:MAX_ERRORS]]}
    if len(body := _dump(report)) <= max_bytes:
        return body
    report = {**report, "truncated": True, "growth": [{**g, "traceback": []} for g in report["growth"]]}
    if len(body := _dump(report)) <= max_bytes:
        return body
    report["types"] = [{**t, "referrers": [], "chain": []} for t in report["types"]]
    while len(body := _dump(report)) > max_bytes:
        longest = max(("growth", "types", "errors"), key=lambda part: len(_dump(report[part])))
        if not report[longest]:
            return _dump({"schema": report["schema"], "truncated": True})
        report[longest] = report[longest][:-1]
    return body


def _dump(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("ascii")
