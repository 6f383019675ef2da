"""Parse the memory report of a pod, as `memroll-probe` writes it, into a ProbeReport.

The body of the HTTP response goes in; `evidence.capture` calls it. Pure. Every field is optional and can have any
type: the pod wrote it. Lists are truncated, and then text is redacted and sanitized, which takes most of the time.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from memroll.api.evidence import (
    MAX_GROWN_LINES,
    MAX_REFERRERS,
    MAX_RISING_TYPES,
    MAX_TEXT_CHARS,
    GrownLine,
    ProbeReport,
    RisingType,
    TracingState,
)
from memroll.errors import ProbeUnavailableError
from memroll.evidence.redact import redact_secrets
from memroll.evidence.sanitize import parse_count, sanitize_name

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "memroll-probe/1"
MAX_DIGITS = 18
"""Maximum number of digits of an integer. Parsing time grows with the square of the digits; counts have at most 16."""
STATES = ("off", "warming", "tracing")
CANDIDATES_PER_ITEM = 2
"""Number of items whose text is sanitized for each item that is kept, chosen by hand: the text of some may be empty."""


def parse_report(body: bytes) -> ProbeReport:
    """Parse a report. Raise ProbeUnavailableError for anything else."""
    raw = _parse_json(body)
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise ProbeUnavailableError("NotAReport", f"the response is not a report of the schema {SCHEMA}")
    process, requests, tracing = (_as_dict(raw.get(k)) for k in ("process", "requests", "tracing"))
    return ProbeReport(
        uptime_seconds=parse_count(raw.get("uptimeSeconds")),
        rss_bytes=parse_count(process.get("rssBytes")),
        peak_rss_bytes=parse_count(process.get("peakRssBytes")),
        uss_bytes=parse_count(process.get("ussBytes")),
        threads=parse_count(process.get("threads")),
        asyncio_tasks=parse_count(process.get("asyncioTasks")),
        requests_total=parse_count(requests.get("total")),
        requests_in_flight=parse_count(requests.get("inFlight")),
        uncollectable=parse_count(_as_dict(raw.get("gc")).get("uncollectable")),
        tracing=_parse_tracing(tracing),
        growth=tuple(_parse_lines(raw.get("growth")))[:MAX_GROWN_LINES],
        types=tuple(_parse_rising_types(raw.get("types")))[:MAX_RISING_TYPES],
        truncated=raw.get("truncated") is True,
        errors=_parse_texts(raw.get("errors")),
    )


def _parse_json(body: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(body, parse_int=_parse_int, parse_float=float, parse_constant=lambda _: None)
    except RecursionError:
        raise ProbeUnavailableError("NotAReport", "the response is JSON that is nested too deeply") from None
    except ValueError:
        raise ProbeUnavailableError("NotAReport", "the response is not JSON") from None


def _parse_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


def _as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _iter_dicts(value: object) -> Iterator[dict[str, Any]]:
    yield from (v for v in value if isinstance(v, dict)) if isinstance(value, list) else ()


def _parse_text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return sanitize_name(redact_secrets(value[: 4 * MAX_TEXT_CHARS]), MAX_TEXT_CHARS)


def _parse_texts(value: object) -> tuple[str, ...]:
    given = value[: MAX_REFERRERS * CANDIDATES_PER_ITEM] if isinstance(value, list) else []
    return tuple(text for item in given if (text := _parse_text(item)))[:MAX_REFERRERS]


def _parse_tracing(raw: dict[str, Any]) -> TracingState:
    state = raw.get("state")
    return TracingState(
        state=state if state in STATES else "",
        frames=parse_count(raw.get("frames")),
        since_seconds=parse_count(raw.get("sinceSeconds")),
        baseline_seconds=parse_count(raw.get("baselineSeconds")),
        traced_bytes=parse_count(raw.get("tracedBytes")),
        overhead_bytes=parse_count(raw.get("overheadBytes")),
    )


def _parse_lines(raw: object) -> Iterator[GrownLine]:
    """Yield the lines of code that grew, the largest first."""
    grown = [(growth, item) for item in _iter_dicts(raw) if (growth := parse_count(item.get("bytes")))]
    grown.sort(key=lambda found: -found[0])
    for growth, item in grown[: MAX_GROWN_LINES * CANDIDATES_PER_ITEM]:
        file = _parse_text(item.get("file"))
        if file:
            yield GrownLine(
                file=file,
                line=parse_count(item.get("line")) or 0,
                bytes=growth,
                blocks=parse_count(item.get("blocks")),
                total_bytes=parse_count(item.get("totalBytes")),
            )


def _parse_rising_types(raw: object) -> Iterator[RisingType]:
    """Yield the rising types; the others are no evidence of a leak."""
    rising = (item for item in _iter_dicts(raw) if item.get("rising") is True)
    for item in islice(rising, MAX_RISING_TYPES * CANDIDATES_PER_ITEM):
        name, count = _parse_text(item.get("type")), parse_count(item.get("count"))
        if name and count is not None:
            yield RisingType(
                type=name,
                count=count,
                growth=parse_count(item.get("growth")),
                collections=parse_count(item.get("collections")),
                referrers=_parse_texts(item.get("referrers")),
            )
