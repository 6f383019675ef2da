"""The end of the demo: the summary, what must hold, and the figures as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from memroll_demo.facts import Service

ROLLS_LEAST = 2
PROTECTED = ("leaky", "leaky-fleet")
INNOCENT = ("highwater", "warmup")
FIGURES = (
    "rolls", "rolls_failed", "oom_kills", "requests", "failures", "longest_outage_s", "p99_ms", "slowest_ms",
)  # fmt: skip
LOAD_LEAST = 0.7
"""The share of the wanted requests without which "none failed" would mean little."""


@dataclass(frozen=True)
class Assertion:
    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Load:
    """What the load should have been, and whether it went on to the end."""

    requests_wanted: float
    ran: bool


def assertions(services: dict[str, Service], load: Load, rolls_least: int = ROLLS_LEAST) -> list[Assertion]:
    """Say what the demo promises of the services that played, and whether it held."""
    found: list[Assertion] = []
    for name in (n for n in PROTECTED if n in services):
        found += protected(name, services[name], rolls_least)
        found.append(served(name, services[name], load))
    found += [innocent(name, services[name]) for name in INNOCENT if name in services]
    if "control" in services:
        killed = services["control"].oom_kills
        found.append(Assertion("control, without a policy, was OOM-killed", killed > 0, f"{killed} OOM kills"))
    return found


def protected(name: str, service: Service, rolls_least: int) -> list[Assertion]:
    """Say whether a leaking service was rolled, and never killed."""
    often = {1: "once", 2: "twice"}.get(rolls_least, f"{rolls_least} times")
    failed = f", {service.rolls_failed} failed" if service.rolls_failed else ""
    return [
        Assertion(
            f"{name} was rolled at least {often}", service.rolls >= rolls_least, f"{service.rolls} rolls{failed}"
        ),
        never_killed(name, service),
    ]


def never_killed(name: str, service: Service) -> Assertion:
    kills = service.oom_kills
    return Assertion(f"{name} was never OOM-killed", kills == 0, f"{kills} OOM kills")


def innocent(name: str, service: Service) -> Assertion:
    begun = service.rolls_begun
    return Assertion(f"{name} was never rolled", begun == 0, f"{begun} rolls")


def served(name: str, service: Service, load: Load) -> Assertion:
    """Say whether all requests were answered, which takes a load that was really there."""
    least = max(1, int(load.requests_wanted * LOAD_LEAST))
    detail = f"{service.failures} of {service.requests} failed"
    if service.failures:
        detail += f": {', '.join(f'{count} {kind}' for kind, count in sorted(service.kinds.items()))}"
    if service.requests < least:
        detail += f"; at least {least} are needed to tell"
    if not load.ran:
        detail += "; the load ended early"
    ok = service.failures == 0 and service.requests >= least and load.ran
    return Assertion(f"no request to {name} failed", ok, detail)


def table(services: dict[str, Service]) -> str:
    """Draw the summary."""
    wide = max(14, *(len(name) + 2 for name in services))
    head = f"{'service':<{wide}}{'rolls':>7}{'OOM kills':>11}{'requests':>10}{'failed':>8}{'longest outage':>16}"
    lines = [head, "─" * len(head)]
    for name, s in services.items():
        outage = f"{s.longest_outage_s:.1f} s" if s.failures else "none"
        lines.append(f"{name:<{wide}}{s.rolls:>7}{s.oom_kills:>11}{s.requests:>10}{s.failures:>8}{outage:>16}")
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
    half = path.with_name(f"{path.name}.part")
    half.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    half.replace(path)
