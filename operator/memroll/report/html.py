"""Write the leak report as one self-contained HTML page without scripts, to be forwarded or printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.pod_roll import EffectResult
from memroll.api.quantity import format_bytes
from memroll.evidence.sanitize import sanitize_line
from memroll.pages.template import render
from memroll.pages.times import PageClock, ago
from memroll.rendering import EMPTY_CELL
from memroll.report import describe, growth_chart, memory_plot
from memroll.report.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.evidence import Evidence
    from memroll.api.pod_roll import PodRoll
    from memroll.pages.plot import Plot
    from memroll.pages.times import ShownTime
    from memroll.rendering import Row
    from memroll.report.leaks import LeakReport, RevisionComparison, ServiceLeaks

ROLLS_SHOWN = 10
"""Maximum number of rolls listed per service; chosen by hand."""
EFFECT_SEVERITIES = {
    EffectResult.EFFECTIVE: "good",
    EffectResult.LEAK_PERSISTS: "warn",
    EffectResult.INEFFECTIVE: "bad",
    None: "quiet",
}
"""Severity of the effect of a roll: its icon and its colour."""
UTC_CLOCK = PageClock()
"""Clock of a page whose reader's zone is unknown."""


@dataclass(frozen=True, slots=True)
class ShownRoll:
    """Row of a roll."""

    pod: str
    time: ShownTime | None
    time_ago: str
    reason: str
    severity: str
    result: str
    effect: str


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """Evidence of the newest roll that has any."""

    pod: str
    revision: str
    captured: ShownTime | None
    captured_ago: str
    plot: Plot | None
    lines: tuple[Row, ...]
    types: tuple[str, ...]
    missing: str


@dataclass(frozen=True, slots=True)
class ShownService:
    """Section of one service."""

    anchor: str
    name: str
    headline: str
    comparisons: tuple[tuple[str, str], ...]
    """Severities and sentences."""
    figures: tuple[Row, ...]
    evidence: ShownEvidence | None
    has_lost_evidence: bool
    """True if there were rolls, and none of them has evidence any longer."""
    rolls: tuple[ShownRoll, ...]
    hidden_rolls: int


def render_page(report: LeakReport, clock: PageClock = UTC_CLOCK) -> str:
    return render(
        "leaks.html",
        summary=summarise(report),
        period=clock.period(report.since, report.now),
        zone=clock.zone_at(report.now),
        chart=list(growth_chart.chart_rows(report, clock)),
        services=[_service(s, number, report, clock) for number, s in enumerate(report.services, 1)],
    )


def _service(service: ServiceLeaks, number: int, report: LeakReport, clock: PageClock) -> ShownService:
    rolls = [roll for leak in service.leaks for roll in leak.rolls]
    evidence = _evidence(service, report, clock)
    return ShownService(
        anchor=f"service-{number}",
        name=sanitize_line(f"{service.namespace}/{service.workload}: {service.container}"),
        headline=describe.headline(service),
        comparisons=tuple((_severity(c), describe.describe_comparison(c)) for c in service.compare_revisions()),
        figures=tuple(describe.figure_rows(service, report.now, clock)),
        evidence=evidence,
        has_lost_evidence=evidence is None and any(leak.entry.rolls for leak in service.leaks),
        rolls=tuple(_roll(roll, report, clock) for roll in rolls[:ROLLS_SHOWN]),
        hidden_rolls=max(0, len(rolls) - ROLLS_SHOWN),
    )


def _severity(comparison: RevisionComparison) -> str:
    if comparison.is_notable:
        return "bad" if comparison.ratio > 1 else "good"
    return "quiet"


def _evidence(service: ServiceLeaks, report: LeakReport, clock: PageClock) -> ShownEvidence | None:
    """Return the evidence of the newest revision that has any."""
    for leak in service.leaks:
        roll = leak.evidence_roll
        if roll is not None and roll.status.evidence is not None:
            found = roll.status.evidence
            return ShownEvidence(
                pod=sanitize_line(roll.spec.pod_name),
                revision=sanitize_line(leak.name),
                captured=clock.show(found.captured_at),
                captured_ago=ago(found.captured_at, report.now),
                plot=memory_plot.draw(found, clock),
                lines=tuple(_lines(found)),
                types=tuple(map(describe.describe_rising_type, found.probe.types if found.probe else ())),
                missing=sanitize_line("; ".join(f"{m.section}: {m.reason}" for m in found.missing)),
            )
    return None


def _lines(evidence: Evidence) -> Iterator[Row]:
    for line in evidence.grown_lines:
        total = EMPTY_CELL if line.total_bytes is None else format_bytes(line.total_bytes)
        blocks = EMPTY_CELL if line.blocks is None else str(line.blocks)
        yield (sanitize_line(str(line)), f"+{format_bytes(line.bytes)}", blocks, total)


def _roll(roll: PodRoll, report: LeakReport, clock: PageClock) -> ShownRoll:
    effect, ended = roll.status.effect, roll.status.times.finished or roll.created_at
    return ShownRoll(
        pod=sanitize_line(roll.spec.pod_name),
        time=clock.show(ended),
        time_ago=ago(ended, report.now),
        reason=sanitize_line(roll.spec.reason) or "by hand",
        severity=EFFECT_SEVERITIES[effect.result if effect else None],
        result=str(effect.result) if effect and effect.result else "",
        effect=sanitize_line(effect.message) if effect else "",
    )
