"""How the end-to-end tests are spread over processes, and how these share one operator."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.e2e import spreading
from tests.e2e.shared import Shared

if TYPE_CHECKING:
    from pathlib import Path


def item(name: str):
    return SimpleNamespace(nodeid=name)


def test_the_longest_unit_is_first_and_keeps_its_order():
    first, second = "tests/e2e/test_systems.py::test_race[a]", "tests/e2e/test_systems.py::test_told"
    items = [item("a"), item(first), item("b"), item(second), item("c")]
    measured = {"a": 20.0, "b": 90.0, "c": 20.0, first: 10.0, second: 85.0}
    assert [i.nodeid for i in spreading.longest_first(items, measured)] == [first, second, "b", "a", "c"]


def test_what_shares_its_set_up_goes_to_one_process():
    tests = ["tests/e2e/test_x.py::test_a", "tests/e2e/test_fence.py::test_b[x@y]", "tests/e2e/test_fence.py::test_c"]
    assert [spreading.unit_of(t) for t in tests] == [tests[0], "tests/e2e/test_fence.py", "tests/e2e/test_fence.py"]
    assert [m for m in spreading.TOGETHER if not (spreading.ROOT / m).is_file()] == []


def test_what_was_never_measured_begins_early():
    items = [item("short"), item("new"), item("long")]
    assert [i.nodeid for i in spreading.longest_first(items, {"short": 5.0, "long": 100.0})] == ["long", "new", "short"]


def test_durations_are_added_up_by_test_and_what_is_gone_is_forgotten(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(spreading, "MEASURED", tmp_path / "durations.json")
    monkeypatch.setattr(spreading, "ROOT", tmp_path)
    (tmp_path / "test_x.py").write_text("def test_a():\n    pass\ndef test_b(way):\n    pass\n")
    spreading.MEASURED.write_text(
        '{"test_x.py::test_a": 9.0, "test_x.py::test_gone": 7.0, "test_gone.py::test_a": 7.0}'
    )
    plugin = spreading.Durations()
    for phase in (1.0, 2.04, 0.5):
        plugin.pytest_runtest_logreport(SimpleNamespace(nodeid="test_x.py::test_b[mail@home]", duration=phase))
    plugin.pytest_sessionfinish()
    assert spreading.measured() == {"test_x.py::test_a": 9.0, "test_x.py::test_b[mail@home]": 3.5}


def test_every_measured_test_exists():
    """Where this fails, a test was renamed or removed: make e2e-durations, or mend the file by hand."""
    assert spreading.measured(), "without it the tests are spread by chance"
    assert [test for test in spreading.measured() if not spreading.exists(test)] == []


def test_the_first_user_installs_and_the_last_removes(tmp_path: Path):
    log: list[str] = []
    ready, leave = threading.Barrier(3), threading.Event()

    def use() -> None:
        with Shared(tmp_path).using("it", lambda: log.append("install"), lambda: log.append("remove")):
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


def test_what_fails_to_install_is_installed_by_the_next(tmp_path: Path):
    log: list[str] = []

    def fail() -> None:
        raise AssertionError("no room")

    with (
        pytest.raises(AssertionError, match="no room"),
        Shared(tmp_path).using("it", fail, lambda: log.append("remove")),
    ):
        raise RuntimeError("never reached")
    with Shared(tmp_path).using("it", lambda: log.append("install"), lambda: log.append("remove")):
        pass
    assert log == ["install", "remove"]
