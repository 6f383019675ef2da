"""What the PodRolls of a play say: the lines that grew, and whether one roll waited for the other. Pure."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from memroll_demo import news
from memroll_demo.report import Assertion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.systems import Line

Roll = dict[str, Any]
SHOWN = 3


def of_service(rolls: Sequence[Roll], service: str) -> list[Roll]:
    return [roll for roll in rolls if news.service_of(roll["spec"]["podName"]) == service]


def succeeded(rolls: Sequence[Roll]) -> list[Roll]:
    return [roll for roll in rolls if roll.get("status", {}).get("phase") == "Succeeded"]


def evidence(roll: Roll) -> dict[str, Any]:
    """Return what was captured before a roll; nothing yet is empty."""
    found: dict[str, Any] = roll.get("status", {}).get("evidence") or {}
    return found


def growth(roll: Roll) -> list[dict[str, Any]]:
    """Return the lines that grew, by the report that the pod gave before it was rolled."""
    found: list[dict[str, Any]] = (evidence(roll).get("probe") or {}).get("growth") or []
    return found


def holders(roll: Roll) -> list[str]:
    """Return what holds the objects that grow in number, by the same report."""
    kinds = (evidence(roll).get("probe") or {}).get("types") or []
    return list(dict.fromkeys(holder for kind in kinds for holder in kind.get("referrers", [])))


def missing(roll: Roll) -> str:
    """Say what evidence could not be had, and why."""
    return "; ".join(f"{part['part']}: {part['reason']}" for part in evidence(roll).get("missing", []))


def named(rolls: Sequence[Roll], service: str, line: Line) -> Assertion:
    """Say whether the evidence of each roll names the leaking line first."""
    done = succeeded(of_service(rolls, service))
    firsts = [next(iter(growth(roll)), None) for roll in done]
    found = [f"{first['file']}:{first['line']}" if first else "nothing" for first in firsts]
    right = [first is not None and line.is_at(first["file"], first["line"]) for first in firsts]
    why = "; ".join(filter(None, map(missing, done)))
    detail = f"expected {line}, found {', '.join(found) or 'no roll'}{f' ({why})' if why else ''}"
    return Assertion(f"the evidence of {service} names the line that leaks", bool(done) and all(right), detail)


def one_at_a_time(rolls: Sequence[Roll], service: str) -> Assertion:
    """Say whether no roll of a service began before the one before it had ended."""
    spans = sorted(span(roll) for roll in of_service(rolls, service))
    overlaps = sum(later[0] < earlier[1] for earlier, later in pairwise(spans))
    detail = f"{len(spans)} rolls, {overlaps} of them began before the one before had ended"
    return Assertion(f"the replicas of {service} were rolled one at a time", bool(spans) and overlaps == 0, detail)


def span(roll: Roll) -> tuple[datetime, datetime]:
    """Return when a roll was recorded and when it ended; one that goes on ends never."""
    began = datetime.fromisoformat(roll["metadata"]["creationTimestamp"])
    ended = roll.get("status", {}).get("times", {}).get("finished")
    return began, datetime.fromisoformat(ended) if ended else datetime.max.replace(tzinfo=began.tzinfo)


def shown(rolls: Sequence[Roll], service: str) -> str:
    """Draw the lines that grew in the pod that was rolled last."""
    done = succeeded(of_service(rolls, service))
    grown = growth(done[-1]) if done else []
    if not grown:
        return f"{service}: no evidence"
    lines = [f"{service}: grown in {done[-1]['spec']['podName']}"]
    lines += [f"  {g['bytes'] / 2**20:+7.1f} MiB  {g['file']}:{g['line']}" for g in grown[:SHOWN]]
    return "\n".join(lines)


def holders_shown(rolls: Sequence[Roll], service: str) -> str:
    """Draw what held on to the objects of the pod that was rolled last."""
    done = succeeded(of_service(rolls, service))
    return "\n".join(f"  held by {holder}" for holder in (holders(done[-1]) if done else [])[:SHOWN])
