"""Sentence that summarises a leak report, for the top of its page. Called by html."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import format_bytes
from memroll.evidence.sanitize import sanitize_line

if TYPE_CHECKING:
    from memroll.report.leaks import LeakReport, ServiceLeaks


@dataclass(frozen=True, slots=True)
class LeakSummary:
    """Sentences, and whether they are good news."""

    text: str
    severity: str
    """`bad` with OOM kills since the first roll, `warn` with leaks, else `good`."""


def summarise(report: LeakReport) -> LeakSummary:
    """Return how many services leak, the fastest one, and the effect of the rolls."""
    if not report.services:
        return LeakSummary("No leak observed.", "good")
    entries = [leak.entry for service in report.services for leak in service.leaks]
    rolls, since = sum(e.rolls for e in entries), sum(e.oom_kills_since for e in entries)
    text = f"{_services(report.services)}. {_rolls(rolls, sum(e.freed_bytes for e in entries))}"
    if rolls:
        text += f"; {_count(since, 'OOM kill')} since the first roll"
    return LeakSummary(f"{text}.", "bad" if since else "warn")


def _services(services: tuple[ServiceLeaks, ...]) -> str:
    fastest = services[0]
    growth, name = fastest.leaks[0].entry.growth_bytes_per_hour, sanitize_line(fastest.workload)
    rate = "" if growth is None else f" {format_bytes(growth)} per hour"
    if len(services) == 1:
        return f"{name} leaks{rate}"
    return f"{len(services)} services leak" + (f", {name} the fastest:{rate}" if rate else "")


def _rolls(count: int, freed_bytes: int) -> str:
    freed = f" freed {format_bytes(freed_bytes)}" if freed_bytes else ""
    rolls = "roll" if count == 1 else "rolls"
    return f"{count} {rolls}{freed}" if count else "No pod was rolled"


def _count(number: int, noun: str) -> str:
    return f"no {noun}" if not number else f"1 {noun}" if number == 1 else f"{number} {noun}s"
