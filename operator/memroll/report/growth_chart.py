"""Rows of the chart at the top of the leak page: growth, rolls and OOM kills of each leaking revision. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import format_bytes
from memroll.evidence.sanitize import sanitize_line
from memroll.pages.times import ago
from memroll.rendering import EMPTY_CELL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.pages.times import PageClock, ShownTime
    from memroll.report.leaks import Leak, LeakReport


@dataclass(frozen=True, slots=True)
class LeakRow:
    """Row of one revision; the newest one of a service has its name and its link."""

    anchor: str
    service: str
    """Namespace, workload and container; empty for earlier revisions."""
    revision: str
    growth_percent: float
    """Growth in percent of the fastest one."""
    growth: str
    rolls: int
    freed: str
    oom_kills: str
    severity: str
    """`bad` for OOM kills since the first roll, `good` for rolls without one since, else `quiet`."""
    last_seen: ShownTime | None
    last_seen_ago: str


def chart_rows(report: LeakReport, clock: PageClock) -> Iterator[LeakRow]:
    """Yield one row per revision, in the order of the report."""
    leaks = [leak for service in report.services for leak in service.leaks]
    fastest = max((leak.entry.growth_bytes_per_hour or 0 for leak in leaks), default=0)
    for number, service in enumerate(report.services, 1):
        name = sanitize_line(f"{service.namespace}/{service.workload}: {service.container}")
        for leak in service.leaks:
            yield _row(leak, report, clock, number, name if leak is service.leaks[0] else "", fastest)


def _row(leak: Leak, report: LeakReport, clock: PageClock, number: int, service: str, fastest: int) -> LeakRow:
    entry = leak.entry
    growth = entry.growth_bytes_per_hour
    return LeakRow(
        anchor=f"service-{number}",
        service=service,
        revision=sanitize_line(leak.name),
        growth_percent=0.0 if growth is None or fastest <= 0 else round(max(0.0, 100 * growth / fastest), 1),
        growth=EMPTY_CELL if growth is None else format_bytes(growth),
        rolls=entry.rolls,
        freed=format_bytes(entry.freed_bytes) if entry.freed_bytes else "",
        oom_kills=_oom_kills(leak),
        severity="bad" if entry.oom_kills_since else "good" if entry.rolls else "quiet",
        last_seen=clock.show(entry.last_seen),
        last_seen_ago=ago(entry.last_seen, report.now),
    )


def _oom_kills(leak: Leak) -> str:
    since = leak.entry.oom_kills_since
    before = leak.entry.oom_kills - since
    return (
        f"{before} before the first roll, {since} since" if leak.entry.first_rolled or leak.entry.rolls else str(before)
    )
