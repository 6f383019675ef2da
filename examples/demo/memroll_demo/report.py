"""Format the end of a demo: the summary, the checked assertions, and the figures as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from memroll_demo.assertions import Assertion
    from memroll_demo.observations import ServiceObservations

FIGURES = (
    "rolls", "rolls_failed", "oom_kills", "requests", "failures", "longest_outage_s", "p99_ms", "slowest_ms",
)  # fmt: skip


def format_table(services: dict[str, ServiceObservations]) -> str:
    """Format the summary, one line per service."""
    width = max(14, *(len(name) + 2 for name in services))
    header = f"{'service':<{width}}{'rolls':>7}{'OOM kills':>11}{'requests':>10}{'failed':>8}{'longest outage':>16}"
    lines = [header, "─" * len(header)]
    for name, s in services.items():
        outage = f"{s.longest_outage_s:.1f} s" if s.failures else "none"
        lines.append(f"{name:<{width}}{s.rolls:>7}{s.oom_kills:>11}{s.requests:>10}{s.failures:>8}{outage:>16}")
    return "\n".join(lines)


def format_assertions(assertions: list[Assertion]) -> str:
    return "\n".join(f"  {'✓' if a.ok else '✗'} {a.name} ({a.detail})" for a in assertions)


def build_figures(
    services: dict[str, ServiceObservations],
    assertions: list[Assertion],
    **more: Any,
) -> dict[str, Any]:
    """Return the content of build/demo.json."""
    figures = {name: {k: asdict(s)[k] for k in FIGURES} | {"failure_kinds": s.kinds} for name, s in services.items()}
    passed = all(a.ok for a in assertions)
    return {"passed": passed, "services": figures, "assertions": [asdict(a) for a in assertions], **more}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(path)
