"""What a pod said of itself, as a ProbeReport: every field is optional, and each may be anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from memroll.api.evidence import (
    GROWTH_MAX,
    REFERRERS_MAX,
    TEXT_CHARS_MAX,
    TYPES_MAX,
    GrownLine,
    ProbeReport,
    RisingType,
    Tracing,
)
from memroll.errors import Unanswered
from memroll.evidence.redact import without_secrets
from memroll.evidence.sanitize import counted, named

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "memroll-probe/1"
DIGITS_MAX = 18
STATES = ("off", "warming", "tracing")
LOOKED_AT_MAX = 1000
"""Items of a list that are looked at: a report holds ten."""


def read(answer: bytes) -> ProbeReport:
    """Read a report. Raises Unanswered for what is none."""
    raw = _decoded(answer)
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise Unanswered("NotAReport", f"the answer is not a report of the kind {SCHEMA}")
    process, requests, tracing = (_mapping(raw.get(k)) for k in ("process", "requests", "tracing"))
    return ProbeReport(
        uptime_seconds=counted(raw.get("uptimeSeconds")),
        rss_bytes=counted(process.get("rssBytes")),
        peak_rss_bytes=counted(process.get("peakRssBytes")),
        uss_bytes=counted(process.get("ussBytes")),
        threads=counted(process.get("threads")),
        asyncio_tasks=counted(process.get("asyncioTasks")),
        requests_total=counted(requests.get("total")),
        requests_in_flight=counted(requests.get("inFlight")),
        uncollectable=counted(_mapping(raw.get("gc")).get("uncollectable")),
        tracing=_tracing(tracing),
        growth=tuple(sorted(_growth(raw.get("growth")), key=lambda g: -g.bytes)[:GROWTH_MAX]),
        types=tuple(_types(raw.get("types")))[:TYPES_MAX],
        truncated=raw.get("truncated") is True,
        errors=tuple(_texts(raw.get("errors")))[:REFERRERS_MAX],
    )


def _decoded(answer: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(answer, parse_int=_int, parse_float=float, parse_constant=lambda _: None)
    except RecursionError:
        raise Unanswered("NotAReport", "the answer is JSON that is too deep to be a report") from None
    except ValueError:
        raise Unanswered("NotAReport", "the answer is not JSON") from None


def _int(digits: str) -> int | None:
    return int(digits) if len(digits) <= DIGITS_MAX else None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> Iterator[dict[str, Any]]:
    yield from (v for v in value[:LOOKED_AT_MAX] if isinstance(v, dict)) if isinstance(value, list) else ()


def _text(value: object) -> str:
    return named(without_secrets(value[: 4 * TEXT_CHARS_MAX]), TEXT_CHARS_MAX) if isinstance(value, str) else ""


def _texts(value: object) -> Iterator[str]:
    for item in value[:LOOKED_AT_MAX] if isinstance(value, list) else ():
        text = _text(item)
        if text:
            yield text


def _tracing(raw: dict[str, Any]) -> Tracing:
    state = raw.get("state")
    return Tracing(
        state=state if state in STATES else "",
        frames=counted(raw.get("frames")),
        since_seconds=counted(raw.get("sinceSeconds")),
        baseline_seconds=counted(raw.get("baselineSeconds")),
        traced_bytes=counted(raw.get("tracedBytes")),
        overhead_bytes=counted(raw.get("overheadBytes")),
    )


def _growth(raw: object) -> Iterator[GrownLine]:
    for item in _mappings(raw):
        file, grown = _text(item.get("file")), counted(item.get("bytes"))
        if file and grown:
            yield GrownLine(
                file=file,
                line=counted(item.get("line")) or 0,
                bytes=grown,
                blocks=counted(item.get("blocks")),
                total_bytes=counted(item.get("totalBytes")),
            )


def _types(raw: object) -> Iterator[RisingType]:
    """Yield the types that rise; the others say nothing about a leak."""
    for item in _mappings(raw):
        name, count = _text(item.get("type")), counted(item.get("count"))
        if name and count is not None and item.get("rising") is True:
            yield RisingType(
                type=name,
                count=count,
                growth=counted(item.get("growth")),
                collections=counted(item.get("collections")),
                referrers=tuple(_texts(item.get("referrers")))[:REFERRERS_MAX],
            )
