"""Builds the report of this process. Each part is built only while time is left; `errors` names the missing ones."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from memroll_probe import SCHEMA, containers, deep_inspection, object_slots, process
from memroll_probe.errors import ResourceLimitError
from memroll_probe.naming import FileNames, sanitize, type_name
from memroll_probe.referrers import ReferrerSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_probe.lines import LineGrowth
    from memroll_probe.object_counts import GrowingType
    from memroll_probe.state import ProbeState

log = logging.getLogger("memroll_probe")

Report = dict[str, Any]

MAX_ENTRIES = 10
"""Maximum number of lines and of types, as in the report's schema."""
MAX_SEARCHED_TYPES = 5
"""Maximum number of rising types whose referrers are searched. Chosen by hand."""
MAX_SEARCH_S = 1.0
"""Maximum time to search the referrers of one type, in seconds. Chosen by hand."""
SEARCH_TIME_RATIO = 0.7
"""Ratio of the time budget up to which searches may run. Chosen by hand.

One step up may take a second in a large process, and a late report is lost.
"""
MAX_CONTAINERS = 10
"""Maximum number of growing containers that are searched. Chosen by hand."""


@dataclass
class ReportBuilder:
    """Deadline and errors of one report."""

    state: ProbeState
    deadline: float
    errors: list[str] = field(default_factory=list)

    @property
    def remaining_s(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def remaining_search_s(self) -> float:
        return self.remaining_s - (1 - SEARCH_TIME_RATIO) * self.state.settings.budget_s

    def build_part(self, name: str, build: Callable[[], Any], default: Any) -> Any:
        """Build one part. Without time or on failure, return the default and add an error."""
        if self.remaining_s <= 0:
            self.errors.append(f"{name}: left out, no time was left")
            return default
        try:
            return build()
        except Exception as error:  # the probe must not harm the service
            log.debug("%s failed", name, exc_info=True)
            self.errors.append(f"{name}: {type(error).__name__}")
            return default


def build_report(state: ProbeState, *, deep: bool) -> Report:
    """Return the report, with all parts that fit into the time budget."""
    builder = ReportBuilder(state, time.monotonic() + state.settings.budget_s, list(state.errors()))
    report = build_header(state)
    report["process"] = builder.build_part("process", lambda: process.describe_process(state.loop), {})
    report["tracing"] = builder.build_part("tracing", state.describe_tracing, {})
    report["gc"] = builder.build_part("gc", process.describe_gc, {})
    report["growth"] = builder.build_part("growth", lambda: _growth(builder), [])
    report["types"] = builder.build_part("types", lambda: _types(builder, deep=deep), [])
    report["errors"] = builder.errors
    return report


def build_header(state: ProbeState, *errors: str) -> Report:
    """Return a report without measurements, which takes no time."""
    now = datetime.now(timezone.utc)  # noqa: TID251 - the probe has no memroll.clock, and runs on 3.10
    return {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "uptimeSeconds": round(state.uptime_s(), 1),
        "process": {},
        "requests": {"total": state.requests.total, "inFlight": state.requests.in_flight},
        "tracing": {},
        "growth": [],
        "types": [],
        "gc": {},
        "truncated": False,
        "errors": list(errors),
    }


def _growth(builder: ReportBuilder) -> list[dict[str, Any]]:
    tracer = builder.state.tracer
    if tracer.started_at is not None:
        try:
            tracer.take_snapshot(builder.remaining_s)
        except ResourceLimitError as error:
            builder.errors.append(f"growth: as of the last snapshot: {error}")
    files = FileNames()
    return [_growth_entry(g, files) for g in tracer.growth(MAX_ENTRIES)]


def _growth_entry(growth: LineGrowth, files: FileNames) -> dict[str, Any]:
    return {
        "file": files.shorten(growth.file),
        "line": growth.line,
        "bytes": growth.bytes,
        "blocks": growth.blocks,
        "totalBytes": growth.total_bytes,
        "traceback": [f"{files.shorten(file)}:{line}" for file, line in growth.frames],
    }


def _types(builder: ReportBuilder, *, deep: bool) -> list[dict[str, Any]]:
    growing = builder.state.object_counts.growing_types(MAX_ENTRIES)
    entries = [_type_entry(g) for g in growing]
    rising = [e for e in entries if e["rising"]]
    if rising and _has_headroom_for_search(builder):
        wanted = {e["type"] for e in rising}
        kinds = {name: kind for kind in object_slots.types_by_id().values() if (name := type_name(kind)) in wanted}
        builder.build_part("growing containers", lambda: _add_containers(builder, rising, kinds), None)
        inspect = deep and builder.state.settings.deep
        for entry in rising[:MAX_SEARCHED_TYPES]:
            if inspect or not entry["referrers"]:
                name = entry["type"]
                builder.build_part(
                    f"referrers of {name}",
                    lambda e=entry: _add_referrers(builder, e, kinds, deep=inspect),  # type: ignore[misc] # a lambda's default
                    None,
                )
    return entries


def _has_headroom_for_search(builder: ReportBuilder) -> bool:
    """Return whether there is memory to search for referrers: each step scans all objects."""
    try:
        builder.state.object_counts.require_headroom()
    except ResourceLimitError as error:
        builder.errors.append(f"referrers: {error}")
        return False
    return True


def _add_containers(builder: ReportBuilder, rising: list[dict[str, Any]], kinds: dict[str, type]) -> None:
    """Add to each type the growing container that is nearest above its objects."""
    growing = containers.find_alive(builder.state.object_counts.containers.rising(MAX_CONTAINERS))
    wanted = {id(kind): name for name, kind in kinds.items()}
    search = containers.DepthSearch(frozenset(growing))
    depths = {
        key: search.find_depths(container, wanted)
        for key, container in growing.items()
        if builder.remaining_search_s > 0
    }
    paths: dict[int, str] = {}
    for entry in rising:
        above = [(found[entry["type"]], key) for key, found in depths.items() if entry["type"] in found]
        if above and builder.remaining_search_s > 0:
            _, key = min(above)
            if key not in paths:
                paths[key] = _container_path(growing[key], builder)
            entry["referrers"] = [paths[key]]


def _container_path(container: Any, builder: ReportBuilder) -> str:
    paths = _find_paths([container], builder)
    return sanitize(" in ".join([f"growing {type_name(type(container))}", *paths[:1]]))


def _type_entry(growing: GrowingType) -> dict[str, Any]:
    return {
        "type": growing.name,
        "count": growing.count,
        "growth": growing.growth,
        "collections": growing.collections,
        "rising": growing.rising,
        "referrers": [],
    }


def _add_referrers(builder: ReportBuilder, entry: dict[str, Any], kinds: dict[str, type], *, deep: bool) -> None:
    """Add the referrers of a type's objects. `kinds` may lack the type: a class can be deleted."""
    if (kind := kinds.get(entry["type"])) is None:
        return
    objects = object_slots.sample_objects(kind)
    if not entry["referrers"]:
        entry["referrers"] = _find_paths(objects, builder)
    if deep and objects:
        entry["sampleBytes"] = deep_inspection.sample_bytes(objects[0])
        entry["chain"] = [sanitize(step) for step in deep_inspection.chain(objects[0])]


def _find_paths(objects: list[Any], builder: ReportBuilder) -> list[str]:
    return ReferrerSearch(time.monotonic() + min(MAX_SEARCH_S, builder.remaining_search_s)).find_paths(objects)
