"""The end of the demo: the summary, what must hold, and the figures as JSON."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from memroll_demo.facts import Service

ROLLS_LEAST = 2
PROTECTED = ("leaky", "leaky-fleet")
INNOCENT = ("highwater", "warmup")
FIGURES = ("rolls", "rolls_failed", "oom_kills", "requests", "failures", "longest_outage_s")


@dataclass(frozen=True)
class Assertion:
    name: str
    ok: bool
    detail: str


def assertions(services: dict[str, Service]) -> list[Assertion]:
    """Say what the demo promises and whether it held."""
    found = []
    for name in PROTECTED:
        s = services[name]
        found += [
            Assertion(f"{name} was rolled at least twice", s.rolls >= ROLLS_LEAST, f"{s.rolls} rolls"),
            Assertion(f"{name} was never OOM-killed", s.oom_kills == 0, f"{s.oom_kills} OOM kills"),
            Assertion(
                f"no request to {name} failed",
                s.failures == 0 and s.requests > 0,
                f"{s.failures} of {s.requests} failed {s.kinds or ''}".strip(),
            ),
        ]
    for name in INNOCENT:
        s = services[name]
        rolled = s.rolls + s.rolls_failed
        found.append(Assertion(f"{name} was never rolled", rolled == 0, f"{rolled} rolls"))
    killed = services["control"].oom_kills
    found.append(Assertion("control, without a policy, was OOM-killed", killed > 0, f"{killed} OOM kills"))
    return found


def table(services: dict[str, Service]) -> str:
    """Draw the summary."""
    head = f"{'service':<14}{'rolls':>7}{'OOM kills':>11}{'requests':>10}{'failed':>8}{'longest outage':>16}"
    lines = [head, "─" * len(head)]
    for name, s in services.items():
        outage = f"{s.longest_outage_s:.1f} s" if s.failures else "none"
        lines.append(f"{name:<14}{s.rolls:>7}{s.oom_kills:>11}{s.requests:>10}{s.failures:>8}{outage:>16}")
    return "\n".join(lines)


def verdicts(found: list[Assertion]) -> str:
    return "\n".join(f"  {'✓' if a.ok else '✗'} {a.name} ({a.detail})" for a in found)


def figures(services: dict[str, Service], found: list[Assertion], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return what build/demo.json holds."""
    kept = {name: {k: asdict(s)[k] for k in FIGURES} | {"failure_kinds": s.kinds} for name, s in services.items()}
    return {"passed": all(a.ok for a in found), "services": kept, "assertions": [asdict(a) for a in found], **more}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as half:
        json.dump(content, half, indent=2)
        half.write("\n")
    os.replace(half.name, path)  # noqa: PTH105 - atomic, and both are plain names here
