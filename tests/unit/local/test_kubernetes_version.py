from pathlib import Path

import pytest

from localcluster import go_build, kubernetes_version
from localcluster.errors import ClusterError
from localcluster.kubernetes_version import DEFAULT, KubernetesVersion
from localcluster.paths import ClusterPaths

OLD = KubernetesVersion(1, 30)
SOURCE = Path(__file__).parents[3] / "deploy" / "local"


def select(paths: ClusterPaths, text: str | None = None) -> KubernetesVersion:
    environment = {} if text is None else {"MEMROLL_KUBERNETES": text}
    return kubernetes_version.select(paths.source, paths.state, environment)


def test_without_a_request_and_a_cluster_the_version_is_the_default(paths: ClusterPaths) -> None:
    assert select(paths) == select(paths, "") == paths.kubernetes == DEFAULT


def test_a_new_cluster_has_the_requested_version(paths: ClusterPaths) -> None:
    assert select(paths, "1.30") == OLD
    assert select(paths, str(DEFAULT)) == DEFAULT


def test_commands_without_a_request_use_the_version_of_the_cluster(paths: ClusterPaths) -> None:
    kubernetes_version.write(paths.state, OLD)
    assert select(paths) == select(paths, "1.30") == OLD


def test_a_cluster_of_another_version_is_an_error(paths: ClusterPaths) -> None:
    kubernetes_version.write(paths.state, DEFAULT)
    with pytest.raises(ClusterError) as caught:
        select(paths, "1.30")
    assert str(caught.value) == (
        f"the cluster in {paths.state} has Kubernetes {DEFAULT}, not 1.30; "
        "run `down` without MEMROLL_KUBERNETES first, or unset it to use that cluster"
    )


@pytest.mark.parametrize("text", ["1.29", "v1.30", "1", "1.30.14", "latest"])
def test_a_version_without_a_folder_is_an_error_with_the_versions(paths: ClusterPaths, text: str) -> None:
    with pytest.raises(ClusterError, match=rf"MEMROLL_KUBERNETES={text} is not .*; set it to one of 1\.30, 1\.35"):
        select(paths, text)


def test_a_damaged_record_counts_as_none(paths: ClusterPaths) -> None:
    paths.state.mkdir()
    (paths.state / "kubernetes-version").write_text("?\n")
    assert select(paths, "1.30") == OLD


def test_versions_are_compared_by_number() -> None:
    assert KubernetesVersion(1, 9) < OLD < DEFAULT


@pytest.mark.parametrize("version", kubernetes_version.available(SOURCE), ids=str)
def test_each_folder_pins_a_patch_of_its_version_in_all_modules(
    paths: ClusterPaths, version: KubernetesVersion
) -> None:
    go_mod = (paths.source / version.folder / "go.mod").read_text()
    pinned = go_build.pinned_version(go_mod, "k8s.io/kubernetes")
    assert pinned.startswith(f"v{version}.")
    replaced = [line.split()[-1] for line in go_mod.splitlines() if " => " in line]
    assert set(replaced) == {f"v0.{pinned.removeprefix('v1.')}"}


def test_the_program_of_an_older_version_differs_only_in_the_kubelet_and_the_verbosity_of_kubectl(
    paths: ClusterPaths,
) -> None:
    new, old = (code(paths.source / version.folder / "main.go") for version in (DEFAULT, OLD))
    assert old - new == {'"kubelet": kubelet.NewKubeletCommand,'}
    assert {line.split("(")[0] for line in new - old} == {
        '"context"',
        '"k8s.io/component-base/logs"',
        '"kubelet": func',
        "logs.GlogSetter",
    }


def code(path: Path) -> set[str]:
    """Return the lines of a Go file without indentation and comments."""
    lines = (" ".join(line.partition("//")[0].split()) for line in path.read_text().splitlines())
    return {line for line in lines if line}
