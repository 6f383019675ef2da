import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from localcluster import procfs, supervisor
from localcluster.components import Component
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths
from localcluster.procfs import ProcessIdentity
from tests.unit.local.conftest import SLEEPER


@pytest.fixture
def foreign_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as other:
        yield other
        other.kill()


def write_pid_file(paths: ClusterPaths, name: str, text: str) -> None:
    paths.pids.mkdir(parents=True, exist_ok=True)
    (paths.pids / f"{name}.json").write_text(text)


def test_a_started_process_is_found_by_its_pid_file(paths: ClusterPaths, started: ProcessIdentity) -> None:
    assert supervisor.find_running(paths, "sleeper") == started


def test_starting_twice_returns_the_running_process(paths: ClusterPaths, started: ProcessIdentity) -> None:
    assert supervisor.start(paths, SLEEPER) == started


def test_a_component_runs_before_the_machine_s_other_work(
    paths: ClusterPaths, started: ProcessIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "setpriority", lambda _, thread, niceness: raised.append((thread, niceness)))
    supervisor.wait_listening(paths, SLEEPER, 5)
    assert raised == [(started.pid, supervisor.NICENESS)]


def test_a_component_runs_without_permission_to_raise_its_priority(
    paths: ClusterPaths, started: ProcessIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    supervisor.wait_listening(paths, SLEEPER, 5)
    assert supervisor.find_running(paths, "sleeper") == started


def test_a_process_without_a_pid_file_is_found(paths: ClusterPaths, started: ProcessIdentity) -> None:
    (paths.pids / "sleeper.json").unlink()
    assert supervisor.start(paths, SLEEPER) == started


def test_stopping_ends_the_process_and_removes_the_pid_file(paths: ClusterPaths, started: ProcessIdentity) -> None:
    supervisor.stop(paths, [SLEEPER])
    assert not started.is_alive()
    assert list(paths.pids.iterdir()) == []


def test_a_foreign_process_with_the_recorded_pid_is_not_stopped(
    paths: ClusterPaths, foreign_process: subprocess.Popen[bytes]
) -> None:
    real = procfs.identify(foreign_process.pid)
    assert real is not None
    write_pid_file(paths, "sleeper", json.dumps(asdict(replace(real, started=real.started - 1))))
    supervisor.stop(paths, [SLEEPER])
    assert supervisor.find_running(paths, "sleeper") is None
    assert foreign_process.poll() is None


def test_a_pid_file_of_an_earlier_boot_is_stale(paths: ClusterPaths, foreign_process: subprocess.Popen[bytes]) -> None:
    real = procfs.identify(foreign_process.pid)
    assert real is not None
    write_pid_file(paths, "sleeper", json.dumps(asdict(replace(real, boot="before"))))
    assert supervisor.find_running(paths, "sleeper") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": 1, "boot": "b"}'])
def test_an_unreadable_pid_file_means_not_running(paths: ClusterPaths, text: str) -> None:
    write_pid_file(paths, "sleeper", text)
    assert supervisor.find_running(paths, "sleeper") is None


def test_a_component_that_dies_is_an_error_with_the_end_of_its_log(paths: ClusterPaths) -> None:
    paths.state.mkdir()
    script = "import time\nfor n in range(40): print('line', n, flush=True)\ntime.sleep(0.3)\nraise SystemExit(1)"
    component = Component("dying", (sys.executable, "-c", script), socket=paths.state / "never.sock")
    supervisor.start(paths, component)
    with pytest.raises(ClusterError) as caught:
        supervisor.wait_listening(paths, component, 10)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"dying has died; the last 15 lines of {paths.logs / 'dying.log'}:"
    assert lines[1:16] == [f"  line {n}" for n in range(25, 40)]


def dies_until_start(number: int, folder: Path) -> Component:
    """Return a component that dies at each start before this one, then opens its socket."""
    socket, starts = folder / "component.sock", folder / "starts"
    script = (
        "import socket, sys, time\n"
        f"with open({str(starts)!r}, 'a+') as f: f.write('x'); f.seek(0); started = len(f.read())\n"
        f"if started < {number}: sys.exit(1)\n"
        f"s = socket.socket(socket.AF_UNIX); s.bind({str(socket)!r}); s.listen(); time.sleep(600)"
    )
    return Component("flaky", (sys.executable, "-c", script), socket=socket, stop_seconds=5)


def test_a_component_that_dies_as_the_cluster_comes_up_is_started_again(paths: ClusterPaths) -> None:
    paths.state.mkdir()
    component = dies_until_start(supervisor.MAX_STARTS, paths.state)
    supervisor.start(paths, component)
    try:
        supervisor.wait_listening(paths, component, 30, supervisor.Restarts(paths))
        assert supervisor.find_running(paths, "flaky") is not None
    finally:
        supervisor.stop(paths, [component])


def test_a_component_that_dies_again_and_again_is_an_error(paths: ClusterPaths) -> None:
    paths.state.mkdir()
    component = dies_until_start(supervisor.MAX_STARTS + 1, paths.state)
    supervisor.start(paths, component)
    with pytest.raises(ClusterError, match="flaky has died"):
        supervisor.wait_listening(paths, component, 30, supervisor.Restarts(paths))
    assert (paths.state / "starts").read_text() == "x" * supervisor.MAX_STARTS


def test_a_component_that_cannot_be_started_is_an_error(paths: ClusterPaths) -> None:
    paths.state.mkdir()
    with pytest.raises(ClusterError, match="cannot start /no/such/program: No such file or directory; run `up`"):
        supervisor.start(paths, Component("absent", ("/no/such/program",)))
