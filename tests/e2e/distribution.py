"""Distribution of the end-to-end tests over processes: the longest first, by recorded durations.

A unit is a single test, or all tests of a module that share expensive fixtures, in their order. pytest-xdist assigns
the next unit to the process with the least work left, so the order determines how evenly the processes end.
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
DURATIONS_FILE = Path(__file__).with_name("durations.json")
"""File with the duration in seconds of each test, including its fixtures; `make e2e-durations` updates it."""
KEPT_TOGETHER = frozenset(
    {"tests/e2e/test_admission_policy.py", "tests/e2e/test_isolation.py", "tests/e2e/test_systems.py"}
)
"""Modules whose tests share expensive fixtures."""
DEFAULT_DURATION_S = 60.0
"""Assumed duration in seconds of a test without a record, so that it begins early."""


def unit_of(test: str) -> str:
    """Return the name of the unit that a test belongs to."""
    module = test.partition("::")[0]
    return module if module in KEPT_TOGETHER else test


class UnitScheduler(LoadScopeScheduling):
    """Assigns units in the order of the collected tests.

    Rejected: pytest-xdist's `loadgroup`; with pytest 9 its marks do not reach the process that assigns the tests.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def sort_longest_first(items: Sequence[pytest.Item], durations_s: Mapping[str, float]) -> list[pytest.Item]:
    """Return the tests with the longest unit first; the order within a unit is unchanged."""
    units: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        units[unit_of(item.nodeid)].append(item)
    total_s = {unit: sum(durations_s.get(i.nodeid, DEFAULT_DURATION_S) for i in found) for unit, found in units.items()}
    return [item for unit in sorted(units, key=lambda u: (-total_s[u], u)) for item in units[unit]]


def read_durations() -> dict[str, float]:
    return dict(json.loads(DURATIONS_FILE.read_text(encoding="utf-8"))) if DURATIONS_FILE.exists() else {}


class DurationRecorder:
    """Plugin of the controlling process: adds up the durations of each test's phases, and records them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        """Merge the durations of this run into the file."""
        DURATIONS_FILE.write_text(to_json(read_durations() | self.seconds), encoding="utf-8")


def to_json(seconds: Mapping[str, float]) -> str:
    """Return the file's text, without tests that no longer exist."""
    existing = {test: round(duration, 1) for test, duration in sorted(seconds.items()) if exists(test)}
    return json.dumps(existing, indent=1) + "\n"


def exists(test: str) -> bool:
    """Return whether the function in a test's ID exists in its file."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.is_file() and f"def {name.partition('[')[0]}(" in file.read_text(encoding="utf-8")
