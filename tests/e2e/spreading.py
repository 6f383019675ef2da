"""Spreading the end-to-end tests over processes: what takes longest begins first, by durations measured before.

A unit is what must stay together, in its order: the tests of one `xdist_group` mark, or a single test. pytest-xdist
hands the next unit to the process that has next to nothing left, so that the order decides how evenly they all end.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

ROOT = Path(__file__).parents[2]
MEASURED = Path(__file__).with_name("durations.json")
"""Seconds of each test, set-up and tear-down included; `make e2e-durations` writes it anew."""
UNKNOWN_S = 60.0
"""What a test is taken to last that was never measured: it begins early."""


def unit_of(item: pytest.Item) -> str:
    """Return the name of the unit that a test belongs to."""
    mark = item.get_closest_marker("xdist_group")
    return item.nodeid if mark is None else str(mark.args[0])


def longest_first(items: Sequence[pytest.Item], measured_s: Mapping[str, float]) -> list[pytest.Item]:
    """Return the tests by unit, the longest unit first; within a unit their order stays."""
    units: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        units[unit_of(item)].append(item)
    lasting = {unit: sum(measured_s.get(i.nodeid, UNKNOWN_S) for i in found) for unit, found in units.items()}
    return [item for unit in sorted(units, key=lambda u: (-lasting[u], u)) for item in units[unit]]


def measured() -> dict[str, float]:
    return dict(json.loads(MEASURED.read_text(encoding="utf-8"))) if MEASURED.exists() else {}


class Durations:
    """A plugin of the process that hears of all reports: it adds up what each test takes, and writes it down."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[_without_group(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write what was measured now over what was measured before."""
        MEASURED.write_text(written(measured() | self.seconds), encoding="utf-8")


def written(seconds: Mapping[str, float]) -> str:
    """Return the file's text; what is no test any more is left out."""
    there = {test: round(lasted, 1) for test, lasted in sorted(seconds.items()) if exists(test)}
    return json.dumps(there, indent=1) + "\n"


def exists(test: str) -> bool:
    """Whether the function that a test's name says is in the file that it says."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.is_file() and f"def {name.partition('[')[0]}(" in file.read_text(encoding="utf-8")


def _without_group(nodeid: str) -> str:
    """Return a test's name without the `@group` that pytest-xdist appends."""
    name, at, _ = nodeid.rpartition("@")
    return name if at and nodeid.rfind("@") > nodeid.rfind("]") else nodeid
