"""Format the leak report's cells and sentences, for the table, the JSON and the HTML page alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.quantity import format_bytes
from memroll.evidence.sanitize import sanitize_line
from memroll.pages.times import ago
from memroll.rendering import EMPTY_CELL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from memroll.api.evidence import RisingType
    from memroll.api.leak_ledger import LeakingLine
    from memroll.pages.times import PageClock
    from memroll.rendering import Row
    from memroll.report.leaks import Leak, LeakReport, RevisionComparison, ServiceLeaks

HEADER: Row = (
    "NAMESPACE", "WORKLOAD", "CONTAINER", "REVISION", "IMAGE", "PER HOUR", "PER REQUEST", "ROLLS", "OOM BEFORE",
    "OOM SINCE", "EVICTED", "FREED", "GREW MOST", "LAST SEEN",
)  # fmt: skip


def format_signed_bytes(count: int | None) -> str:
    return EMPTY_CELL if count is None else f"{'+' if count >= 0 else ''}{format_bytes(count)}"


def table_rows(report: LeakReport) -> Iterator[Row]:
    for service in report.services:
        for leak in service.leaks:
            key = (service.namespace, service.workload, service.container)
            yield (*map(sanitize_line, key), *entry_cells(leak))


def entry_cells(leak: Leak) -> Row:
    entry = leak.entry
    return (
        sanitize_line(entry.revision) or EMPTY_CELL,
        sanitize_line(entry.image) or EMPTY_CELL,
        format_signed_bytes(entry.growth_bytes_per_hour),
        format_signed_bytes(entry.growth_bytes_per_request),
        str(entry.rolls),
        str(entry.oom_kills - entry.oom_kills_since),
        str(entry.oom_kills_since),
        str(entry.node_pressure_evictions),
        format_bytes(entry.freed_bytes) if entry.freed_bytes else EMPTY_CELL,
        next((format_line(line) for line in entry.lines), EMPTY_CELL),
        rfc3339(entry.last_seen),
    )


def figure_rows(service: ServiceLeaks, now: datetime, clock: PageClock) -> Iterator[Row]:
    """Yield a header with the revisions, and one row per figure with its value for each, if any has a value."""
    yield ("", *(sanitize_line(leak.entry.revision) or "the only revision" for leak in service.leaks))
    columns = [_figures(leak, now, clock) for leak in service.leaks]
    for name in columns[0]:
        values = [column[name] for column in columns]
        if any(value != EMPTY_CELL for value in values):
            yield (name, *values)


def _figures(leak: Leak, now: datetime, clock: PageClock) -> dict[str, str]:
    entry = leak.entry
    cells = dict(zip(HEADER[3:], entry_cells(leak), strict=True))
    return {
        "Image": cells["IMAGE"],
        "Growth per hour": cells["PER HOUR"],
        "Growth per request": cells["PER REQUEST"],
        "Rolls": cells["ROLLS"],
        "OOM kills before the first roll": cells["OOM BEFORE"],
        "OOM kills since": cells["OOM SINCE"],
        "Pods evicted, node low on memory": cells["EVICTED"],
        "Memory freed": cells["FREED"],
        "Line that grew most": cells["GREW MOST"],
        "First seen": _when(entry.first_seen, now, clock),
        "Last seen": _when(entry.last_seen, now, clock),
    }


def _when(at: datetime, now: datetime, clock: PageClock) -> str:
    shown = clock.show(at)
    assert shown is not None, "a time of an object is of the clock"
    return f"{shown.text} {shown.zone} ({ago(at, now)})"


def format_line(line: LeakingLine) -> str:
    return f"{sanitize_line(line.at)} +{format_bytes(line.bytes)}"


def headline(service: ServiceLeaks) -> str:
    """Return one or two sentences that summarise the newest revision's leak for the service's team."""
    leak = service.leaks[0]
    entry = leak.entry
    summary = f"{service.workload}, container {service.container}, {_describe_growth(leak)}"
    first = next((line for line in entry.lines), None)
    if first is not None:
        summary += f"; {sanitize_line(first.at)} grew most (+{format_bytes(first.bytes)})"
    freed = f", which freed {format_bytes(entry.freed_bytes)}" if entry.freed_bytes else ""
    return sanitize_line(
        f"{summary}. {_describe_rolls(entry.rolls)}{freed}; {_describe_oom_kills(leak)}{_describe_evictions(leak)}."
    )


def _describe_growth(leak: Leak) -> str:
    entry = leak.entry
    if entry.growth_bytes_per_hour is None:
        return "was rolled; its growth is unknown"
    per_request = entry.growth_bytes_per_request
    each = "" if per_request is None else f", {format_bytes(per_request)} per request"
    return f"leaks {format_bytes(entry.growth_bytes_per_hour)} per hour{each}"


def _describe_rolls(count: int) -> str:
    return {0: "Not rolled yet", 1: "Rolled once", 2: "Rolled twice"}.get(count, f"Rolled {count} times")


def _describe_oom_kills(leak: Leak) -> str:
    since = leak.entry.oom_kills_since
    before = leak.entry.oom_kills - since
    if not leak.entry.oom_kills:
        return "no OOM kill observed"
    if leak.entry.first_rolled is None:
        return f"{_count_oom_kills(before)}"
    return f"{_count_oom_kills(before)} before the first roll, {since or 'none'} since"


def _describe_evictions(leak: Leak) -> str:
    count = leak.entry.node_pressure_evictions
    pods = "1 pod" if count == 1 else f"{count} pods"
    return f"; {pods} evicted because the node was low on memory" if count else ""


def _count_oom_kills(kills: int) -> str:
    return "no OOM kill" if not kills else "1 OOM kill" if kills == 1 else f"{kills} OOM kills"


def describe_comparison(comparison: RevisionComparison) -> str:
    """Return a sentence that compares a revision's growth with that of the previous one."""
    newer, older = (sanitize_line(leak.name) for leak in (comparison.newer, comparison.older))
    if not comparison.is_notable:
        return f"Revision {newer} leaks as fast as {older}."
    if comparison.ratio > 1:
        return f"Revision {newer} leaks {comparison.ratio:.1f} times faster than {older}."
    return f"Revision {newer} leaks {1 / comparison.ratio:.1f} times slower than {older}."


def describe_rising_type(found: RisingType) -> str:
    """Return count, growth and referrers of a type whose number of objects rises."""
    held = f", held by {', '.join(map(sanitize_line, found.referrers))}" if found.referrers else ""
    grown = f" (+{found.growth})" if found.growth else ""
    return f"{found.count}{grown} {sanitize_line(found.type)}{held}"
