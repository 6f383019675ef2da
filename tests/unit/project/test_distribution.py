"""Distribution of the end-to-end tests over processes, and the operator that the processes share."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.e2e import distribution
from tests.e2e.shared import SharedResources

if TYPE_CHECKING:
    from pathlib import Path


def item(name: str):
    return SimpleNamespace(nodeid=name)


def test_the_longest_unit_is_first_and_keeps_its_order():
    first, second = "tests/e2e/test_systems.py::test_race[a]", "tests/e2e/test_systems.py::test_leak"
    items = [item("a"), item(first), item("b"), item(second), item("c")]
    measured = {"a": 20.0, "b": 90.0, "c": 20.0, first: 10.0, second: 85.0}
    assert [i.nodeid for i in distribution.sort_longest_first(items, measured)] == [first, second, "b", "a", "c"]


def test_tests_of_one_set_up_go_to_one_process():
    tests = [
        "tests/e2e/test_x.py::test_a",
        "tests/e2e/test_admission_policy.py::test_b[x@y]",
        "tests/e2e/test_admission_policy.py::test_c",
    ]
    assert [distribution.unit_of(t) for t in tests] == [
        tests[0],
        "tests/e2e/test_admission_policy.py",
        "tests/e2e/test_admission_policy.py",
    ]
    assert [m for m in distribution.KEPT_TOGETHER if not (distribution.ROOT / m).is_file()] == []


def test_an_unmeasured_test_begins_early():
    items = [item("short"), item("new"), item("long")]
    assert [i.nodeid for i in distribution.sort_longest_first(items, {"short": 5.0, "long": 100.0})] == [
        "long",
        "new",
        "short",
    ]


def test_durations_are_summed_per_test_and_removed_with_the_test(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(distribution, "DURATIONS_FILE", tmp_path / "durations.json")
    monkeypatch.setattr(distribution, "ROOT", tmp_path)
    (tmp_path / "test_x.py").write_text("def test_a():\n    pass\ndef test_b(system):\n    pass\n")
    distribution.DURATIONS_FILE.write_text(
        '{"test_x.py::test_a": 9.0, "test_x.py::test_gone": 7.0, "test_gone.py::test_a": 7.0}'
    )
    plugin = distribution.DurationRecorder()
    for phase in (1.0, 2.04, 0.5):
        plugin.pytest_runtest_logreport(SimpleNamespace(nodeid="test_x.py::test_b[mail@home]", duration=phase))
    plugin.pytest_sessionfinish()
    assert distribution.read_durations() == {"test_x.py::test_a": 9.0, "test_x.py::test_b[mail@home]": 3.5}


def test_every_measured_test_exists():
    """If this fails, a test was renamed or removed: run `make e2e-durations`, or edit the file."""
    assert distribution.read_durations(), "without durations the order of the tests is arbitrary"
    assert [test for test in distribution.read_durations() if not distribution.exists(test)] == []


def test_the_first_user_installs_and_the_last_removes(tmp_path: Path):
    log: list[str] = []
    ready, leave = threading.Barrier(3), threading.Event()

    def use() -> None:
        with SharedResources(tmp_path).use("it", lambda: log.append("install"), lambda: log.append("remove")):
            ready.wait(10)
            leave.wait(10)

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    ready.wait(10)
    assert log == ["install"]
    leave.set()
    for user in users:
        user.join(10)
    assert log == ["install", "remove"]


def test_a_failed_installation_is_repeated_by_the_next_user(tmp_path: Path):
    log: list[str] = []

    def fail() -> None:
        raise AssertionError("no room")

    with (
        pytest.raises(AssertionError, match="no room"),
        SharedResources(tmp_path).use("it", fail, lambda: log.append("remove")),
    ):
        raise RuntimeError("never reached")
    with SharedResources(tmp_path).use("it", lambda: log.append("install"), lambda: log.append("remove")):
        pass
    assert log == ["install", "remove"]
