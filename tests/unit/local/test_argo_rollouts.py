import json
import os
from pathlib import Path

import pytest

from localcluster import argo_rollouts, cli, status, supervisor
from localcluster.components import all_components, optional_components
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths
from localcluster.procfs import ProcessIdentity

PINNED = "h1:blbtQva4IK9r6gFh+dWkCrLnFdPOWiv9ubQYu36qeaA="
COMPILER = """#!/bin/sh
echo "$PWD $*" >> {calls}
case $1 in
version) echo go version go1.99.0 linux/amd64 ;;
mod) echo '{download}' ;;
build) [ "$COMPILES" = no ] && exit 1
  while [ "$1" != -o ]; do shift; done
  echo binary > "$2" ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a compiler on the PATH that records its calls, and that has downloaded a module with one CRD."""
    module = tmp_path / "module"
    crds = module / "manifests/crds"
    crds.mkdir(parents=True)
    (crds / "rollout-crd.yaml").write_text("kind: CustomResourceDefinition")
    (crds / "kustomization.yaml").touch()
    write_compiler(tmp_path, module, PINNED)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "calls"


def write_compiler(folder: Path, module: Path, hash_: str) -> None:
    download = json.dumps({"Dir": str(module), "Sum": hash_})
    (folder / "go").write_text(COMPILER.format(calls=folder / "calls", download=download))
    (folder / "go").chmod(0o755)


def builds(calls: Path) -> list[str]:
    return [line for line in calls.read_text().splitlines() if " build " in line]


def test_the_controller_is_built_once_from_the_module_s_source_with_its_crds(
    paths: ClusterPaths, calls: Path, progress: list[str]
) -> None:
    entry = argo_rollouts.build(paths, progress.append)
    assert argo_rollouts.build(paths, progress.append) == entry
    assert entry.parent == paths.cache
    assert (entry / "argo-rollouts").read_text() == "binary\n"
    assert [path.name for path in (entry / "crds").iterdir()] == ["rollout-crd.yaml"]
    (built,) = builds(calls)
    assert built.startswith(f"{calls.parent}/module build ")
    assert built.endswith(" ./cmd/rollouts-controller")
    assert "utils/version.version=1.8.3 -o" in built


def test_a_module_with_another_hash_is_not_built(paths: ClusterPaths, calls: Path, progress: list[str]) -> None:
    write_compiler(calls.parent, calls.parent / "module", "h1:other=")
    with pytest.raises(ClusterError, match=r"go\.sum does not have the hash h1:other="):
        argo_rollouts.build(paths, progress.append)
    assert builds(calls) == []
    assert [path.name for path in paths.cache.iterdir()] == ["argo-rollouts.lock"]


def test_a_failed_build_leaves_nothing(
    paths: ClusterPaths, calls: Path, progress: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPILES", "no")
    with pytest.raises(ClusterError, match="building argo-rollouts failed"):
        argo_rollouts.build(paths, progress.append)
    assert len(builds(calls)) == 1
    assert [path.name for path in paths.cache.iterdir()] == ["argo-rollouts.lock"]


def test_without_a_cluster_it_is_not_built_to_be_started(paths: ClusterPaths, calls: Path, progress: list[str]) -> None:
    with pytest.raises(ClusterError, match="the cluster is not running; run `up` first"):
        argo_rollouts.install(paths, progress.append)
    assert not calls.exists()


def test_build_prints_the_folder(tmp_path: Path, calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "MEMROLL_CLUSTER_DIR": str(tmp_path / "state")}
    assert cli.main(["build", "argo-rollouts"], environment) == 0
    printed = Path(capsys.readouterr().out.strip())
    assert printed.is_relative_to(tmp_path / "cache")
    assert (printed / "argo-rollouts").exists()


def test_an_optional_component_is_part_of_the_status_only_while_it_runs(
    paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "argo-rollouts" not in status.read(paths).pids
    identity = ProcessIdentity(os.getpid(), 1, "boot")
    monkeypatch.setattr(supervisor, "find_running", lambda _, name: identity if name == "argo-rollouts" else None)
    assert status.read(paths).pids["argo-rollouts"] == identity.pid


def test_no_optional_component_uses_a_port_of_another_one(paths: ClusterPaths) -> None:
    ports = [one.port for c in all_components(paths).values() for one in c.listeners]
    more = [one.port for c in optional_components(paths).values() for one in c.listeners]
    assert not {*more, paths.ports.rollouts_metrics} & set(ports)
