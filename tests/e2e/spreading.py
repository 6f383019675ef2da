"""Spreading the end-to-end tests over processes: what takes longest begins first, by durations measured before.

A unit is what must stay together, in its order: the tests of a module whose tests share what they set up, or a
single test. pytest-xdist hands the next unit to the process that has next to nothing left, so that the order decides
how evenly they all end.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

ROOT = Path(__file__).parents[2]
MEASURED = Path(__file__).with_name("durations.json")
"""Seconds of each test, set-up and tear-down included; `make e2e-durations` writes it anew."""
TOGETHER = frozenset({"tests/e2e/test_fence.py", "tests/e2e/test_isolation.py", "tests/e2e/test_systems.py"})
"""Modules whose tests share what they set up."""
UNKNOWN_S = 60.0
"""What a test is taken to last that was never measured: it begins early."""


def unit_of(test: str) -> str:
    """Return the name of the unit that a test belongs to."""
    module = test.partition("::")[0]
    return module if module in TOGETHER else test


class Scheduler(LoadScopeScheduling):
    """Hands out units in the order of the collected tests.

    Not pytest-xdist's own `loadgroup`: with pytest 9 its marks do not reach the process that hands out the tests.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def longest_first(items: Sequence[pytest.Item], measured_s: Mapping[str, float]) -> list[pytest.Item]:
    """Return the tests by unit, the longest unit first; within a unit their order stays."""
    units: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        units[unit_of(item.nodeid)].append(item)
    lasting = {unit: sum(measured_s.get(i.nodeid, UNKNOWN_S) for i in found) for unit, found in units.items()}
    return [item for unit in sorted(units, key=lambda u: (-lasting[u], u)) for item in units[unit]]


def measured() -> dict[str, float]:
    return dict(json.loads(MEASURED.read_text(encoding="utf-8"))) if MEASURED.exists() else {}


class Durations:
    """A plugin of the process that hears of all reports: it adds up what each test takes, and writes it down."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration

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
