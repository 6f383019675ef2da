"""What a report says in words and figures: the same in a table, in JSON and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.evidence.sanitize import cleaned
from memroll.rendering import NONE
from memroll.report.leaks import NOTABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.evidence import RisingType
    from memroll.api.policy import LeakingLine
    from memroll.rendering import Row
    from memroll.report.leaks import Comparison, Leak, Leaks, Service

HEAD: Row = (
    "NAMESPACE", "WORKLOAD", "CONTAINER", "REVISION", "IMAGE", "PER HOUR", "PER REQUEST", "ROLLS", "OOM BEFORE",
    "OOM SINCE", "FREED", "GREW MOST", "LAST SEEN",
)  # fmt: skip
UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def size(count: float) -> str:
    """Write bytes in the unit that reads best: 3.2 GiB, 41.0 MiB, 1.5 KiB, 12 B."""
    return next((f"{count / unit:.1f} {name}" for name, unit in UNITS if abs(count) >= unit), f"{count:.0f} B")


def rate(count: int | None) -> str:
    return NONE if count is None else f"{'+' if count >= 0 else ''}{size(count)}"


def rows(found: Leaks) -> Iterator[Row]:
    for service in found.services:
        for leak in service.leaks:
            whose = (service.namespace, service.workload, service.container)
            yield (*map(cleaned, whose), *figures(leak))


def figures(leak: Leak) -> Row:
    entry = leak.entry
    return (
        cleaned(entry.revision) or NONE,
        cleaned(entry.image) or NONE,
        rate(entry.growth_bytes_per_hour),
        rate(entry.growth_bytes_per_request),
        str(entry.rolls),
        str(entry.oom_kills - entry.oom_kills_since),
        str(entry.oom_kills_since),
        size(entry.freed_bytes) if entry.freed_bytes else NONE,
        next((grew(line) for line in entry.lines), NONE),
        rfc3339(entry.last_seen),
    )


def grew(line: LeakingLine) -> str:
    return f"{cleaned(line.at)} +{size(line.bytes)}"


def headline(service: Service) -> str:
    """Say in a sentence or two what a service's team must know; of several revisions about the newest."""
    leak = service.leaks[0]
    entry = leak.entry
    said = f"{service.workload}, container {service.container}, {_how_fast(leak)}"
    first = next((line for line in entry.lines), None)
    if first is not None:
        said += f"; {cleaned(first.at)} grew most (+{size(first.bytes)})"
    freed = f", which freed {size(entry.freed_bytes)}" if entry.freed_bytes else ""
    return cleaned(f"{said}. {_rolled(entry.rolls)}{freed}; {_kills(leak)}.")


def _how_fast(leak: Leak) -> str:
    entry = leak.entry
    if entry.growth_bytes_per_hour is None:
        return "was rolled, and how fast it leaks is not known"
    per_request = entry.growth_bytes_per_request
    each = "" if per_request is None else f", {size(per_request)} per request"
    return f"leaks {size(entry.growth_bytes_per_hour)} per hour{each}"


def _rolled(count: int) -> str:
    return {0: "Not rolled yet", 1: "Rolled once", 2: "Rolled twice"}.get(count, f"Rolled {count} times")


def _kills(leak: Leak) -> str:
    since = leak.entry.oom_kills_since
    before = leak.entry.oom_kills - since
    if not leak.entry.oom_kills:
        return "no OOM kill was seen"
    if leak.entry.first_rolled is None:
        return f"{_counted(before)}"
    return f"{_counted(before)} before the first roll, {since or 'none'} since"


def _counted(kills: int) -> str:
    return "no OOM kill" if not kills else "1 OOM kill" if kills == 1 else f"{kills} OOM kills"


def comparison(compared: Comparison) -> str:
    """Say how a revision's leak compares with that of the one before it."""
    newer, older = (cleaned(leak.name) for leak in (compared.newer, compared.older))
    if compared.times >= NOTABLE:
        return f"Revision {newer} leaks {compared.times:.1f} times faster than {older}."
    if compared.times <= 1 / NOTABLE:
        return f"Revision {newer} leaks {1 / compared.times:.1f} times slower than {older}."
    return f"Revision {newer} leaks as fast as {older}."


def rising(found: RisingType) -> str:
    """Say what refers to the objects of a type that rises."""
    held = f", held by {', '.join(map(cleaned, found.referrers))}" if found.referrers else ""
    grown = f" (+{found.growth})" if found.growth else ""
    return f"{found.count}{grown} {cleaned(found.type)}{held}"
