"""Write the leak report as one self-contained HTML page without scripts, to be forwarded or printed."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING

from memroll import __version__
from memroll.api.base import rfc3339
from memroll.api.quantity import format_bytes
from memroll.evidence.sanitize import sanitize_line
from memroll.rendering import EMPTY_CELL, STYLE, format_html_table
from memroll.report import describe, sparkline
from memroll.report.text import NO_LEAKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.evidence import Evidence
    from memroll.api.pod_roll import PodRoll
    from memroll.rendering import Row
    from memroll.report.leaks import Leak, LeakReport, ServiceLeaks

ROLLS_SHOWN = 10
"""Maximum number of rolls listed per service; chosen by hand."""
LINES_HEADER: Row = ("LINE", "GROWTH", "BLOCKS", "TOTAL")
ROLLS_HEADER: Row = ("POD", "ROLLED", "REASON", "EFFECT")
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Memory leaks</title><style>$style</style></head>
<body>
<h1>Memory leaks</h1>
<p>Leaks that memroll observed from $since to $now. <span class="quiet">memroll $version</span></p>
$summary
$sections
</body>
</html>
""")
SECTION = Template("""<section>
<h2>$name</h2>
<p><strong>$headline</strong></p>
$comparisons
$figures
$evidence
$rolls
</section>
""")


def render_page(report: LeakReport) -> str:
    table = format_html_table([describe.HEADER, *describe.table_rows(report)])
    return PAGE.substitute(
        style=STYLE,
        since=rfc3339(report.since),
        now=rfc3339(report.now),
        version=escape(__version__),
        summary=table if report.services else f"<p>{NO_LEAKS}</p>",
        sections="".join(_section(s) for s in report.services),
    )


def _section(service: ServiceLeaks) -> str:
    comparisons = (escape(describe.describe_comparison(c)) for c in service.compare_revisions())
    header = ("REVISION", *describe.HEADER[4:])
    return SECTION.substitute(
        name=escape(sanitize_line(f"{service.namespace}/{service.workload}: {service.container}")),
        headline=escape(describe.headline(service)),
        comparisons="".join(f"<p>{sentence}</p>" for sentence in comparisons),
        figures=format_html_table([header, *map(describe.entry_cells, service.leaks)]),
        evidence=_evidence(service),
        rolls=_rolls(service),
    )


def _evidence(service: ServiceLeaks) -> str:
    """Return the evidence of the newest revision that has any."""
    found = next(((leak, roll) for leak in service.leaks if (roll := leak.evidence_roll)), None)
    if found is None:
        rolled = any(leak.entry.rolls for leak in service.leaks)
        return '<p class="quiet">Its rolls and their evidence have been deleted.</p>' if rolled else ""
    leak, roll = found
    assert roll.status.evidence is not None, "a roll with evidence"
    return "".join(_evidence_parts(leak, roll, roll.status.evidence))


def _evidence_parts(leak: Leak, roll: PodRoll, evidence: Evidence) -> Iterator[str]:
    at = rfc3339(evidence.captured_at)
    yield f"<h3>Before pod {escape(sanitize_line(roll.spec.pod_name))} was rolled</h3>"
    yield f'<p class="quiet">Revision {escape(sanitize_line(leak.name))}, captured {at}</p>'
    if evidence.series is not None:
        yield sparkline.render_svg(evidence.series)
    if evidence.grown_lines:
        yield format_html_table([LINES_HEADER, *_lines(evidence)])
    if evidence.probe and evidence.probe.types:
        items = "".join(f"<li>{escape(describe.describe_rising_type(t))}</li>" for t in evidence.probe.types)
        yield f"<p>Types whose number of objects keeps rising across full garbage collections:</p><ul>{items}</ul>"
    if evidence.missing:
        missing = "; ".join(f"{m.section}: {m.reason}" for m in evidence.missing)
        yield f'<p class="quiet">Missing: {escape(sanitize_line(missing))}</p>'


def _lines(evidence: Evidence) -> Iterator[Row]:
    for line in evidence.grown_lines:
        total = EMPTY_CELL if line.total_bytes is None else format_bytes(line.total_bytes)
        blocks = EMPTY_CELL if line.blocks is None else str(line.blocks)
        yield (sanitize_line(str(line)), f"+{format_bytes(line.bytes)}", blocks, total)


def _rolls(service: ServiceLeaks) -> str:
    rolls = [r for leak in service.leaks for r in leak.rolls][:ROLLS_SHOWN]
    if not rolls:
        return ""
    return f"<h3>Rolls</h3>{format_html_table([ROLLS_HEADER, *map(_roll, rolls)])}"


def _roll(roll: PodRoll) -> Row:
    effect, ended = roll.status.effect, roll.status.times.finished or roll.created_at
    effect_text = f"{effect.result or ''} {effect.message}".strip() if effect else EMPTY_CELL
    return (
        sanitize_line(roll.spec.pod_name),
        rfc3339(ended),
        sanitize_line(roll.spec.reason) or "by hand",
        sanitize_line(effect_text) or EMPTY_CELL,
    )
