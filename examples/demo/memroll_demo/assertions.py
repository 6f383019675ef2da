"""Assertions about a finished demo: from observations and PodRolls to the list that the demo prints. Pure.

Also used by the end-to-end tests of the systems.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from memroll_demo import event_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.observations import ServiceObservations
    from memroll_demo.systems import SourceLine

Roll = dict[str, Any]
MIN_ROLLS = 2
LEAKING = ("leaky", "leaky-fleet")
HARMLESS = ("highwater", "warmup")
MAX_SHOWN = 3
MIN_REQUEST_RATIO = 0.7
"""Minimum ratio of sent to expected requests: with fewer, "no request failed" would mean little. Chosen by hand."""


@dataclass(frozen=True)
class Assertion:
    """Statement about a demo, whether it is true, and the figures that decided it."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class ExpectedLoad:
    """Number of requests that the load should have sent, and whether it ran to the end."""

    requests: float
    ran_to_end: bool


def check_services(
    services: dict[str, ServiceObservations], load: ExpectedLoad, min_rolls: int = MIN_ROLLS
) -> list[Assertion]:
    """Check the demo's services, as far as they are part of this run."""
    checked: list[Assertion] = []
    for name in (n for n in LEAKING if n in services):
        checked += check_leaking(name, services[name], min_rolls)
        checked.append(check_requests(name, services[name], load))
    checked += [check_never_rolled(name, services[name]) for name in HARMLESS if name in services]
    if "control" in services:
        kills = services["control"].oom_kills
        checked.append(Assertion("control, without a policy, was OOM-killed", kills > 0, f"{kills} OOM kills"))
    return checked


def check_leaking(name: str, service: ServiceObservations, min_rolls: int) -> list[Assertion]:
    """Check that a leaking service was rolled, and never OOM-killed."""
    often = {1: "once", 2: "twice"}.get(min_rolls, f"{min_rolls} times")
    failed = f", {service.rolls_failed} failed" if service.rolls_failed else ""
    detail = f"{service.rolls} rolls{failed}"
    return [
        Assertion(f"{name} was rolled at least {often}", service.rolls >= min_rolls, detail),
        check_no_oom_kill(name, service),
    ]


def check_no_oom_kill(name: str, service: ServiceObservations) -> Assertion:
    kills = service.oom_kills
    return Assertion(f"{name} was never OOM-killed", kills == 0, f"{kills} OOM kills")


def check_never_rolled(name: str, service: ServiceObservations) -> Assertion:
    begun = service.rolls_begun
    return Assertion(f"{name} was never rolled", begun == 0, f"{begun} rolls")


def check_requests(name: str, service: ServiceObservations, load: ExpectedLoad) -> Assertion:
    """Check that no request failed, under a load that sent enough requests and ran to the end."""
    minimum = max(1, int(load.requests * MIN_REQUEST_RATIO))
    detail = f"{service.failures} of {service.requests} failed"
    if service.failures:
        detail += f": {', '.join(f'{count} {kind}' for kind, count in sorted(service.kinds.items()))}"
    if service.requests < minimum:
        detail += f"; at least {minimum} requests are required"
    if not load.ran_to_end:
        detail += "; the load ended early"
    ok = service.failures == 0 and service.requests >= minimum and load.ran_to_end
    return Assertion(f"no request to {name} failed", ok, detail)


def check_evidence_line(rolls: Sequence[Roll], service: str, line: SourceLine) -> Assertion:
    """Check that the evidence of each roll names the leaking line first.

    Replicas that leak together wait for each other. The last one may be so near its limit that the roll can't wait for
    evidence, which its record explains: that suffices if another roll names the line.
    """
    succeeded = succeeded_rolls(rolls_of_service(rolls, service))
    firsts = [next(iter(grown_lines(roll)), None) for roll in succeeded]
    found = [f"{first['file']}:{first['line']}" if first else "nothing" for first in firsts]
    named = [first is not None and line.is_at(first["file"], first["line"]) for first in firsts]
    right = [is_named or has_skipped_evidence(roll) for is_named, roll in zip(named, succeeded, strict=True)]
    reasons = "; ".join(filter(None, map(describe_missing, succeeded)))
    detail = f"expected {line}, found {', '.join(found) or 'no roll'}{f' ({reasons})' if reasons else ''}"
    return Assertion(f"the evidence of {service} names the line that leaks", any(named) and all(right), detail)


def check_one_at_a_time(rolls: Sequence[Roll], service: str) -> Assertion:
    """Check that no roll of a service began before the previous roll had ended."""
    intervals = sorted(roll_interval(roll) for roll in rolls_of_service(rolls, service))
    overlaps = sum(later[0] < earlier[1] for earlier, later in pairwise(intervals))
    detail = f"{len(intervals)} rolls, {overlaps} of them began before the previous one had ended"
    return Assertion(f"the replicas of {service} were rolled one at a time", bool(intervals) and overlaps == 0, detail)


def rolls_of_service(rolls: Sequence[Roll], service: str) -> list[Roll]:
    return [roll for roll in rolls if event_lines.service_of(roll["spec"]["podName"]) == service]


def succeeded_rolls(rolls: Sequence[Roll]) -> list[Roll]:
    return [roll for roll in rolls if roll.get("status", {}).get("phase") == "Succeeded"]


def roll_interval(roll: Roll) -> tuple[datetime, datetime]:
    """Return the times at which a roll was created and ended; the maximum for a roll in progress."""
    created = datetime.fromisoformat(roll["metadata"]["creationTimestamp"])
    ended = roll.get("status", {}).get("times", {}).get("finished")
    return created, datetime.fromisoformat(ended) if ended else datetime.max.replace(tzinfo=created.tzinfo)


def evidence(roll: Roll) -> dict[str, Any]:
    """Return the evidence of a roll; an empty dictionary if there is none."""
    found: dict[str, Any] = roll.get("status", {}).get("evidence") or {}
    return found


def grown_lines(roll: Roll) -> list[dict[str, Any]]:
    """Return the source lines whose memory grew, from the probe's report in the evidence."""
    found: list[dict[str, Any]] = (evidence(roll).get("probe") or {}).get("growth") or []
    return found


def holders(roll: Roll) -> list[str]:
    """Return the referrers of the types whose number of objects rises, from the probe's report in the evidence."""
    types = (evidence(roll).get("probe") or {}).get("types") or []
    return list(dict.fromkeys(holder for type_ in types for holder in type_.get("referrers", [])))


def has_skipped_evidence(roll: Roll) -> bool:
    """Return whether a roll captured nothing because there was no time left for it."""
    return any(
        missing["section"] == "all" and "limit is near" in missing["reason"]
        for missing in evidence(roll).get("missing", [])
    )


def describe_missing(roll: Roll) -> str:
    """Return the missing sections of the evidence, with the reasons."""
    return "; ".join(f"{missing['section']}: {missing['reason']}" for missing in evidence(roll).get("missing", []))


def format_grown_lines(rolls: Sequence[Roll], service: str) -> str:
    """Format the source lines that grew in the pod that was rolled last."""
    succeeded = succeeded_rolls(rolls_of_service(rolls, service))
    grown = grown_lines(succeeded[-1]) if succeeded else []
    if not grown:
        return f"{service}: no evidence"
    lines = [f"{service}: grown in {succeeded[-1]['spec']['podName']}"]
    lines += [f"  {g['bytes'] / 2**20:+7.1f} MiB  {g['file']}:{g['line']}" for g in grown[:MAX_SHOWN]]
    return "\n".join(lines)


def format_holders(rolls: Sequence[Roll], service: str) -> str:
    """Format the referrers of the rising types of the pod that was rolled last."""
    succeeded = succeeded_rolls(rolls_of_service(rolls, service))
    return "\n".join(f"  held by {holder}" for holder in (holders(succeeded[-1]) if succeeded else [])[:MAX_SHOWN])
