import json
import os
from pathlib import Path

import pytest

from localcluster.cli import main


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "MEMROLL_CLUSTER_DIR": str(tmp_path / "state")}


@pytest.mark.parametrize(
    "command",
    [
        ["up"],
        ["down"],
        ["stop", "etcd"],
        ["start", "etcd"],
        ["load-image", "web"],
        ["build-image", "web", "--file", "Dockerfile", "--context", "."],
    ],
    ids=lambda command: command[0],
)
def test_commands_that_change_the_machine_need_root(
    command: list[str],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(command, environment) == 2
    assert capsys.readouterr().err == (
        "error: this needs root, for network interfaces, mounts and control groups; run it with sudo\n"
    )


def test_status_of_a_cluster_that_is_down_is_one_json_object_and_exit_code_3(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--json"], environment) == 3
    found = json.loads(capsys.readouterr().out)
    components = found.pop("components")
    assert found == {
        "up": False,
        "node": "memroll-local",
        "kubernetes": "1.35",
        "kubeconfig": f"{tmp_path}/state/kubeconfig",
        "bin_dir": f"{tmp_path}/state/bin",
        "prometheus_url": "http://10.231.0.1:19090",
        "bridge_address": "10.231.0.1",
        "api_server": "https://10.231.0.1:6443",
        "base_image": "localhost/memroll-base:bookworm",
        "logs_dir": f"{tmp_path}/state/logs",
    }
    assert components["kubelet"] == {"pid": None, "running": False}
    assert len(components) == 9


@pytest.mark.parametrize("command", [["status"], ["up"], ["down"], ["stop", "etcd"], ["bin", "kubectl"]])
def test_no_command_uses_or_changes_a_cluster_of_another_version(
    command: list[str], environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "state/kubernetes-version"
    record.parent.mkdir()
    record.write_text("1.35\n")
    assert main(command, environment | {"MEMROLL_KUBERNETES": "1.30"}) == 2
    assert "has Kubernetes 1.35, not 1.30; run `down` without" in capsys.readouterr().err
    assert record.exists()


def test_status_as_text_names_every_component(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"], environment) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["cluster", "down"]
    assert "kube-apiserver           not running" in lines


@pytest.mark.skipif(os.geteuid() != 0, reason="asks for root first")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(["stop", "kubelett"], "error: there is no component kubelett; there are etcd,", id="component"),
        pytest.param(["load-image", "web"], "error: the cluster is not running; run `up` first", id="no cluster"),
        pytest.param(
            ["build-image", "web", "--file", "/none", "--context", "/"],
            "error: there is no Dockerfile /none; give its path with --file",
            id="no Dockerfile",
        ),
        pytest.param(
            ["build-image", "web", "--file", __file__, "--context", "/none"],
            "error: there is no folder /none; give the build context with --context",
            id="no context",
        ),
        pytest.param(
            ["build-image", "web", "--file", __file__, "--context", "/", "--build-arg", "BASE"],
            "error: --build-arg BASE has no value; write it as NAME=VALUE",
            id="argument without value",
        ),
        pytest.param(["bin", "bash"], "error: there is no program bash; run `up`; then there are kubectl,", id="bin"),
    ],
)
def test_a_wrong_argument_is_one_line_with_its_remedy(
    command: list[str], message: str, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command, environment) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_bin_prints_the_path_of_a_program(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "state/bin/kubectl"
    program.parent.mkdir(parents=True)
    program.touch()
    assert main(["bin", "kubectl"], environment) == 0
    assert capsys.readouterr().out == f"{program}\n"
