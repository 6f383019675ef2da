"""The report as one HTML page without scripts and without anything from elsewhere: to be forwarded, and printed."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING

from memroll import __version__
from memroll.api.base import rfc3339
from memroll.evidence.sanitize import cleaned
from memroll.rendering import NONE, STYLE, html_table
from memroll.report import describe, sparkline
from memroll.report.text import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.evidence import Evidence
    from memroll.api.pod_roll import PodRoll
    from memroll.rendering import Row
    from memroll.report.leaks import Leak, Leaks, Service

ROLLS_SHOWN = 10
LINES: Row = ("LINE", "GREW BY", "BLOCKS", "HOLDS")
ROLLS: Row = ("POD", "ROLLED", "WHY", "WHAT IT WAS WORTH")
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Memory leaks</title><style>$style</style></head>
<body>
<h1>Memory leaks</h1>
<p>What memroll saw leak from $since to $now. <span class="quiet">memroll $version</span></p>
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


def page(found: Leaks) -> str:
    """Return the whole page."""
    summary = html_table([describe.HEAD, *describe.rows(found)]) if found.services else f"<p>{NOTHING}</p>"
    return PAGE.substitute(
        style=STYLE,
        since=rfc3339(found.since),
        now=rfc3339(found.now),
        version=escape(__version__),
        summary=summary,
        sections="".join(_section(s) for s in found.services),
    )


def _section(service: Service) -> str:
    said = (escape(describe.comparison(c)) for c in service.compared())
    head = ("REVISION", *describe.HEAD[4:])
    return SECTION.substitute(
        name=escape(cleaned(f"{service.namespace}/{service.workload}: {service.container}")),
        headline=escape(describe.headline(service)),
        comparisons="".join(f"<p>{line}</p>" for line in said),
        figures=html_table([head, *map(describe.figures, service.leaks)]),
        evidence=_evidence(service),
        rolls=_rolls(service),
    )


def _evidence(service: Service) -> str:
    """Show the evidence of the newest revision that has any."""
    found = next(((leak, roll) for leak in service.leaks if (roll := leak.told)), None)
    if found is None:
        rolled = any(leak.entry.rolls for leak in service.leaks)
        return '<p class="quiet">No evidence is kept of its rolls any more.</p>' if rolled else ""
    leak, roll = found
    assert roll.status.evidence is not None, "told"
    return "".join(_parts(leak, roll, roll.status.evidence))


def _parts(leak: Leak, roll: PodRoll, evidence: Evidence) -> Iterator[str]:
    at = rfc3339(evidence.captured_at)
    yield f"<h3>Before pod {escape(cleaned(roll.spec.pod_name))} was rolled</h3>"
    yield f'<p class="quiet">Revision {escape(cleaned(leak.name))}, captured {at}</p>'
    if evidence.series is not None:
        yield sparkline.svg(evidence.series)
    if evidence.grown:
        yield html_table([LINES, *_lines(evidence)])
    if evidence.probe and evidence.probe.types:
        items = "".join(f"<li>{escape(describe.rising(t))}</li>" for t in evidence.probe.types)
        yield f"<p>Objects that go on rising over full garbage collections:</p><ul>{items}</ul>"
    if evidence.missing:
        missing = "; ".join(f"{m.part}: {m.reason}" for m in evidence.missing)
        yield f'<p class="quiet">Not had: {escape(cleaned(missing))}</p>'


def _lines(evidence: Evidence) -> Iterator[Row]:
    for line in evidence.grown:
        held = NONE if line.total_bytes is None else describe.size(line.total_bytes)
        blocks = NONE if line.blocks is None else str(line.blocks)
        yield (cleaned(str(line)), f"+{describe.size(line.bytes)}", blocks, held)


def _rolls(service: Service) -> str:
    rolls = [r for leak in service.leaks for r in leak.rolls][:ROLLS_SHOWN]
    if not rolls:
        return ""
    return f"<h3>Rolls</h3>{html_table([ROLLS, *map(_roll, rolls)])}"


def _roll(roll: PodRoll) -> Row:
    memory, ended = roll.status.memory, roll.status.times.finished or roll.created_at
    worth = f"{memory.effect or ''} {memory.message}".strip() if memory else NONE
    return (cleaned(roll.spec.pod_name), rfc3339(ended), cleaned(roll.spec.reason) or "by hand", cleaned(worth) or NONE)
