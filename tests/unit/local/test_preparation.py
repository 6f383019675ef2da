import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import debian, golang, images, network, preflight
from localcluster.errors import ClusterError, CommandFailed
from localcluster.layout import NETWORK, Layout
from localcluster.lock import exclusive
from localcluster.run import run


def test_a_failed_command_shows_itself_its_code_and_its_last_words() -> None:
    script = "for n in range(20): print(n)\nraise SystemExit(3)"
    with pytest.raises(CommandFailed) as caught:
        run([sys.executable, "-c", script])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"`{sys.executable} -c ")
    assert "ended with code 3:" in str(caught.value)
    assert lines[-15:] == [f"  {n}" for n in range(5, 20)]


def test_a_missing_command_is_an_error_of_ours() -> None:
    with pytest.raises(CommandFailed, match="cannot run `/no/such`: No such file or directory"):
        run(["/no/such"])


def test_a_log_takes_the_output_and_a_failure_still_shows_its_end(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    with pytest.raises(CommandFailed, match="last words"):
        run([sys.executable, "-c", "print('last words'); raise SystemExit(1)"], log=log)
    assert log.read_text() == "last words\n"


def test_finds_the_packages_that_are_not_installed() -> None:
    lines = [f"installed {name}" for name in debian.PACKAGES if name not in {"runc", "etcd-server"}]
    assert debian.missing_from("\n".join([*lines, "config-files runc", "installed bash"])) == ["etcd-server", "runc"]


def test_the_guard_against_services_comes_and_goes(tmp_path: Path) -> None:
    guard = tmp_path / "policy-rc.d"
    with debian.services_held(guard):
        assert subprocess.run([guard], check=False).returncode == 101
    assert not guard.exists()


def test_the_guard_goes_even_when_the_installation_fails(tmp_path: Path) -> None:
    guard = tmp_path / "policy-rc.d"
    with pytest.raises(InterruptedError), debian.services_held(guard):
        raise InterruptedError
    assert not guard.exists()


def test_a_guard_of_somebody_else_stays_as_it_is(tmp_path: Path) -> None:
    guard = tmp_path / "policy-rc.d"
    guard.write_text("#!/bin/sh\nexit 0\n")
    with debian.services_held(guard):
        assert guard.read_text() == "#!/bin/sh\nexit 0\n"
    assert guard.exists()


def test_the_mirror_is_the_one_of_the_suite_itself() -> None:
    text = (
        "http://mirror.test/security bookworm-security main\n"
        "http://mirror.test/debian/ bookworm contrib\n"
        "http://mirror.test/debian/ bookworm main\n"
    )
    assert debian.parse_archive(text) == debian.Archive("http://mirror.test/debian", "bookworm")


def test_without_a_mirror_of_the_suite_there_is_no_base_image() -> None:
    with pytest.raises(ClusterError, match="apt knows no mirror of Debian bookworm; add one"):
        debian.parse_archive("http://mirror.test/debian trixie main\n")


@pytest.mark.parametrize(
    ("program", "version"), [("kubernetes", r"v1\.35\.\d+"), ("helm", r"v3\.22\.0")], ids=["kubernetes", "helm"]
)
def test_the_repository_pins_the_versions(layout: Layout, program: str, version: str) -> None:
    chosen = next(one for one in golang.PROGRAMS if one.name == program)
    go_mod = (layout.source / program / "go.mod").read_text()
    flags = golang.link_flags(chosen, go_mod)
    assert flags.startswith("-s -w -X ")
    assert re.search(f"ersion={version}( |$)", flags)


def test_a_module_without_its_pin_is_an_error() -> None:
    with pytest.raises(ClusterError, match=r"go\.mod does not pin k8s\.io/kubernetes; restore"):
        golang.pinned_version("module x\n\nrequire k8s.io/kubernetes-like v1.0.0\n", "k8s.io/kubernetes")


def test_the_key_of_a_program_follows_its_sources_and_the_compiler(tmp_path: Path) -> None:
    program = golang.PROGRAMS[0]
    (tmp_path / "main.go").write_text("package main")
    before = golang.key(program, tmp_path, "go1.26.0")
    assert golang.key(program, tmp_path, "go1.26.1") != before
    (tmp_path / "main.go").write_text("package main // changed")
    assert golang.key(program, tmp_path, "go1.26.0") != before


def write_go(folder: Path, version: str) -> None:
    (folder / "go").write_text(f"#!/bin/sh\necho go version {version} linux/amd64\n")
    (folder / "go").chmod(0o755)


@pytest.mark.parametrize("version", ["go1.19.8", "go1.9", "devel"])
def test_an_old_compiler_is_named_with_the_version_that_is_needed(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    write_go(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    wanted = golang.required_version(layout.source)
    with pytest.raises(ClusterError, match=rf"{version} linux/amd64; install Go {wanted} or newer"):
        golang.compiler_version(layout.source)


def test_without_a_compiler_the_remedy_is_to_install_one(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="there is no `go` on the PATH; install Go"):
        golang.compiler_version(layout.source)


def test_a_disk_that_is_too_small_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=rf"{tmp_path} has .* GiB free, 1048576 GiB are needed; make room"):
        preflight.require_space(tmp_path / "not" / "there", 2**50)


def claim(layout: Layout, owner: Path) -> None:
    layout.owner.parent.mkdir(parents=True)
    layout.owner.write_text(str(owner))


def test_the_cluster_of_another_folder_is_not_touched(layout: Layout, tmp_path: Path) -> None:
    claim(layout, tmp_path)
    with pytest.raises(ClusterError) as caught:
        preflight.require_own(layout)
    assert str(caught.value) == (
        f"this machine has a cluster whose folder is {tmp_path}, not {layout.state}; "
        f"run `down` with MEMROLL_CLUSTER_DIR={tmp_path} first"
    )


@pytest.mark.parametrize("owner", ["state", "gone"])
def test_our_own_cluster_and_one_whose_folder_is_gone_are_ours_to_touch(
    layout: Layout, tmp_path: Path, owner: str
) -> None:
    layout.state.mkdir()
    claim(layout, tmp_path / owner)
    preflight.require_own(layout)


@pytest.mark.parametrize(
    ("routes", "collides"),
    [
        pytest.param([{"dst": "default", "dev": "eth0"}], False, id="the default route"),
        pytest.param([{"dst": "10.231.0.0/24", "dev": "memroll0"}], False, id="our own"),
        pytest.param([{"dst": "10.230.0.0/16", "dev": "eth1"}], False, id="a neighbour"),
        pytest.param([{"dst": "10.0.0.0/8", "dev": "tun0"}], True, id="a larger network"),
        pytest.param([{"dst": "10.232.4.4", "dev": "eth1"}], True, id="one address of the services"),
    ],
)
def test_collisions_with_the_machines_routes(routes: list[dict[str, str]], *, collides: bool) -> None:
    if not collides:
        network.require_unused(NETWORK, routes)
        return
    with pytest.raises(ClusterError, match=rf"collides with the route to {routes[0]['dst']} by {routes[0]['dev']}"):
        network.require_unused(NETWORK, routes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("memroll", "localhost/memroll:latest"),
        ("memroll:dev", "localhost/memroll:dev"),
        ("team/memroll:dev", "localhost/team/memroll:dev"),
        ("localhost/memroll:dev", "localhost/memroll:dev"),
        ("example.test:5000/memroll", "example.test:5000/memroll:latest"),
    ],
)
def test_image_names_are_completed(name: str, expected: str) -> None:
    assert images.qualified(name) == expected


def test_an_image_is_built_anew_when_anything_it_is_made_of_changes(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM x")
    build = images.Build("a", dockerfile, tmp_path, {"B": "1"})
    keys = {
        build.key("base"),
        build.key("other base"),
        replace(build, arguments={"B": "2"}).key("base"),
        replace(build, name="b").key("base"),
    }
    dockerfile.write_text("FROM y")
    keys.add(build.key("base"))
    assert len(keys) == 5


HOLDER = """\
import pathlib, sys, time
from localcluster.lock import exclusive
with exclusive(pathlib.Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def lock_holder(lock: Path, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    source = str(Path(golang.__file__).parents[1])
    command = [sys.executable, "-c", HOLDER, str(lock), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": source}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def test_a_second_run_waits_for_the_first_and_says_so(tmp_path: Path, progress: list[str]) -> None:
    lock = tmp_path / "lock"
    with lock_holder(lock, 0.5):
        start = time.monotonic()
        with exclusive(lock, progress.append):
            waited = time.monotonic() - start
    assert waited > 0.2
    assert progress == [f"waiting for another run to finish ({lock})"]


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path, progress: list[str]) -> None:
    with lock_holder(tmp_path / "lock", 600) as process:
        process.kill()
        process.wait()
        with exclusive(tmp_path / "lock", progress.append):
            pass
    assert progress == []


def test_cluster_marks_are_short_and_stable(layout: Layout) -> None:
    assert layout.cluster_id == hashlib.sha256(str(layout.state).encode()).hexdigest()[:12]
