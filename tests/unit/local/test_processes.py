import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from localcluster import proc, process
from localcluster.components import Component
from localcluster.errors import ClusterError
from localcluster.layout import Layout
from localcluster.proc import Identity

SLEEPER = Component("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), stop_seconds=5)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as other:
        yield other
        other.kill()


@pytest.fixture
def started(layout: Layout) -> Iterator[Identity]:
    layout.state.mkdir()
    identity = process.start(layout, SLEEPER)
    yield identity
    proc.kill([identity])


def write_pid_file(layout: Layout, name: str, text: str) -> None:
    layout.pids.mkdir(parents=True, exist_ok=True)
    (layout.pids / f"{name}.json").write_text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7 (etcd) S " + " ".join(str(n) for n in range(4, 53)), ("S", 22), id="a plain name"),
        pytest.param("7 (a) b) (c) Z " + " ".join(str(n) for n in range(4, 53)), ("Z", 22), id="brackets and spaces"),
    ],
)
def test_reads_state_and_start_time_from_the_stat_line(text: str, expected: tuple[str, int]) -> None:
    assert proc.parse_stat(text) == expected


def test_finds_what_it_started_again_after_the_driver_is_gone(layout: Layout, started: Identity) -> None:
    assert process.running(layout, "sleeper") == started


def test_a_component_runs_before_the_machine_s_other_work(
    layout: Layout, started: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferred: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "setpriority", lambda _, thread, niceness: preferred.append((thread, niceness)))
    process.wait_listening(layout, SLEEPER, 5)
    assert preferred == [(started.pid, process.NICENESS)]


def test_where_priorities_are_not_permitted_a_component_runs_all_the_same(
    layout: Layout, started: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    process.wait_listening(layout, SLEEPER, 5)
    assert process.running(layout, "sleeper") == started


def test_starting_twice_finds_the_first(layout: Layout, started: Identity) -> None:
    assert process.start(layout, SLEEPER) == started


def test_finds_a_process_whose_pid_file_was_never_written(layout: Layout, started: Identity) -> None:
    (layout.pids / "sleeper.json").unlink()
    assert process.start(layout, SLEEPER) == started


def test_the_mark_tells_clusters_apart(layout: Layout, started: Identity) -> None:
    assert started in proc.marked(layout.cluster_id)
    assert proc.marked(replace(layout, state=layout.state / "other").cluster_id) == []


def test_stopping_ends_the_process_and_removes_the_pid_file(layout: Layout, started: Identity) -> None:
    process.stop(layout, [SLEEPER])
    assert not started.alive()
    assert list(layout.pids.iterdir()) == []


def test_a_stranger_under_the_recorded_pid_is_not_ours_and_is_left_alone(
    layout: Layout, stranger: subprocess.Popen[bytes]
) -> None:
    real = proc.identify(stranger.pid)
    assert real is not None
    write_pid_file(layout, "sleeper", json.dumps(asdict(replace(real, started=real.started - 1))))
    process.stop(layout, [SLEEPER])
    assert process.running(layout, "sleeper") is None
    assert stranger.poll() is None


def test_a_pid_file_of_an_earlier_boot_is_stale(layout: Layout, stranger: subprocess.Popen[bytes]) -> None:
    real = proc.identify(stranger.pid)
    assert real is not None
    write_pid_file(layout, "sleeper", json.dumps(asdict(replace(real, boot="before"))))
    assert process.running(layout, "sleeper") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": 1, "boot": "b"}'])
def test_an_unreadable_pid_file_means_not_running(layout: Layout, text: str) -> None:
    write_pid_file(layout, "sleeper", text)
    assert process.running(layout, "sleeper") is None


def test_a_component_that_dies_shows_the_end_of_its_log(layout: Layout) -> None:
    layout.state.mkdir()
    script = "import time\nfor n in range(40): print('line', n, flush=True)\ntime.sleep(0.3)\nraise SystemExit(1)"
    component = Component("dying", (sys.executable, "-c", script), socket=layout.state / "never.sock")
    process.start(layout, component)
    with pytest.raises(ClusterError) as caught:
        process.wait_listening(layout, component, 10)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"dying has died; the last 15 lines of {layout.logs / 'dying.log'}:"
    assert lines[1:16] == [f"  line {n}" for n in range(25, 40)]


def test_a_component_that_cannot_be_started_is_an_error(layout: Layout) -> None:
    layout.state.mkdir()
    with pytest.raises(ClusterError, match="cannot start /no/such/program: No such file or directory; run `up`"):
        process.start(layout, Component("absent", ("/no/such/program",)))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        pytest.param(["/usr/bin/containerd-shim-runc-v2", "-id", "x", "-address", "/s"], True, id="our socket"),
        pytest.param(["/usr/bin/containerd-shim-runc-v2", "-address", "/other"], False, id="another containerd"),
        pytest.param(["/usr/bin/containerd-shim-runc-v2", "-address"], False, id="no address"),
        pytest.param(["/usr/bin/less", "-address", "/s"], False, id="another program"),
        pytest.param([], False, id="a kernel thread"),
    ],
)
def test_recognises_the_shims_of_our_containerd(argv: list[str], *, expected: bool) -> None:
    assert proc.is_shim(argv, Path("/s")) is expected
