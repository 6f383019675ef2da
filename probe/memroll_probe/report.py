"""The report of one process: each part within the time that is left, and what is missing named."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from memroll_probe import SCHEMA, containers, deep, process, stored
from memroll_probe.errors import NotNowError
from memroll_probe.naming import Files, clean, type_name
from memroll_probe.referrers import Trail

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_probe.census import Growing
    from memroll_probe.lines import Growth
    from memroll_probe.watch import Watch

log = logging.getLogger("memroll_probe")

Report = dict[str, Any]

MOST = 10
HINTED = 5
HINT_S = 1.0
HINTS_SHARE = 0.7
"""Of the time for a report: one step up may take a second in a large process, and a late report is none."""
CONTAINERS = 10


@dataclass
class Work:
    """One report in the making."""

    watch: Watch
    until: float
    errors: list[str] = field(default_factory=list)

    @property
    def left_s(self) -> float:
        return self.until - time.monotonic()

    @property
    def left_for_hints_s(self) -> float:
        return self.left_s - (1 - HINTS_SHARE) * self.watch.settings.budget_s

    def part(self, name: str, make: Callable[[], Any], otherwise: Any) -> Any:
        """Make one part; without time, or when it fails, it is left out and named."""
        if self.left_s <= 0:
            self.errors.append(f"{name}: left out, no time was left")
            return otherwise
        try:
            return make()
        except Exception as error:  # the probe must not harm the service
            log.debug("%s failed", name, exc_info=True)
            self.errors.append(f"{name}: {type(error).__name__}")
            return otherwise


def full(watch: Watch, *, use_deep: bool) -> Report:
    """Return everything that fits into the time."""
    work = Work(watch, time.monotonic() + watch.settings.budget_s, list(watch.problems()))
    report = head(watch)
    report["process"] = work.part("process", lambda: process.process(watch.loop), {})
    report["tracing"] = work.part("tracing", watch.describe_tracing, {})
    report["gc"] = work.part("gc", process.collector, {})
    report["growth"] = work.part("growth", lambda: _growth(work), [])
    report["types"] = work.part("types", lambda: _types(work, use_deep=use_deep), [])
    report["errors"] = work.errors
    return report


def head(watch: Watch, *errors: str) -> Report:
    """Return what is told at once, in any trouble."""
    now = datetime.now(timezone.utc)  # noqa: TID251 - the probe has no memroll.clock, and runs on 3.10
    return {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "uptimeSeconds": round(watch.uptime_s(), 1),
        "process": {},
        "requests": {"total": watch.traffic.total, "inFlight": watch.traffic.in_flight},
        "tracing": {},
        "growth": [],
        "types": [],
        "gc": {},
        "truncated": False,
        "errors": list(errors),
    }


def _growth(work: Work) -> list[dict[str, Any]]:
    tracing = work.watch.tracing
    if tracing.started_at is not None:
        try:
            tracing.look(work.left_s)
        except NotNowError as reason:
            work.errors.append(f"growth: as of the last look: {reason}")
    files = Files()
    return [growth_entry(g, files) for g in tracing.growth(MOST)]


def growth_entry(grown: Growth, files: Files) -> dict[str, Any]:
    return {
        "file": files.short(grown.file),
        "line": grown.line,
        "bytes": grown.bytes,
        "blocks": grown.blocks,
        "totalBytes": grown.total_bytes,
        "traceback": [f"{files.short(file)}:{line}" for file, line in grown.frames],
    }


def _types(work: Work, *, use_deep: bool) -> list[dict[str, Any]]:
    growing = work.watch.census.growing(MOST)
    entries = [_entry(g) for g in growing]
    rising = [e for e in entries if e["rising"]]
    if rising and _is_room_for_hints(work):
        wanted = {e["type"] for e in rising}
        kinds = {name: kind for kind in stored.types_by_id().values() if (name := type_name(kind)) in wanted}
        work.part("growing containers", lambda: _place(work, rising, kinds), None)
        deep_too = use_deep and work.watch.settings.deep
        for entry in rising[:HINTED]:
            if deep_too or not entry["referrers"]:
                name = entry["type"]
                work.part(f"referrers of {name}", lambda e=entry: _hint(work, e, kinds, deep_too=deep_too), None)  # type: ignore[misc] # a lambda's default
    return entries


def _is_room_for_hints(work: Work) -> bool:
    """Tell whether there is memory to look for holders: each step looks at all objects."""
    try:
        work.watch.census.require_room()
    except NotNowError as reason:
        work.errors.append(f"referrers: {reason}")
        return False
    return True


def _place(work: Work, rising: list[dict[str, Any]], kinds: dict[str, type]) -> None:
    """Say in which growing container the objects of each type lie: the one that is nearest above them."""
    growing = containers.alive(work.watch.census.containers.rising(CONTAINERS))
    wanted = {id(kind): name for name, kind in kinds.items()}
    descent = containers.Descent(frozenset(growing))
    depths = {key: descent.depths(container, wanted) for key, container in growing.items() if work.left_for_hints_s > 0}
    paths: dict[int, str] = {}
    for entry in rising:
        above = [(found[entry["type"]], key) for key, found in depths.items() if entry["type"] in found]
        if above and work.left_for_hints_s > 0:
            _, key = min(above)
            if key not in paths:
                paths[key] = _path_of(growing[key], work)
            entry["referrers"] = [paths[key]]


def _path_of(container: Any, work: Work) -> str:
    hints = Trail(time.monotonic() + min(HINT_S, work.left_for_hints_s)).hints([container])
    return clean(" in ".join([f"growing {type_name(type(container))}", *hints[:1]]))


def _entry(growing: Growing) -> dict[str, Any]:
    return {
        "type": growing.name,
        "count": growing.count,
        "growth": growing.growth,
        "collections": growing.collections,
        "rising": growing.rising,
        "referrers": [],
    }


def _hint(work: Work, entry: dict[str, Any], kinds: dict[str, type], *, deep_too: bool) -> None:
    """Say who holds the objects of one type. `kinds` may lack it: a class can go."""
    if (kind := kinds.get(entry["type"])) is None:
        return
    objects = stored.objects_of(kind)
    if not entry["referrers"]:
        entry["referrers"] = Trail(time.monotonic() + min(HINT_S, work.left_for_hints_s)).hints(objects)
    if deep_too and objects:
        entry["sampleBytes"] = deep.sample_bytes(objects[0])
        entry["chain"] = [clean(step) for step in deep.chain(objects[0])]
