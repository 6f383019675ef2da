from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import preflight
from localcluster.errors import ClusterError
from localcluster.kubernetes_version import KubernetesVersion
from localcluster.paths import ClusterPaths


def test_a_disk_that_is_too_small_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=rf"{tmp_path} has .* GiB free, 1048576 GiB are needed; make room"):
        preflight.require_space(tmp_path / "not" / "there", 2**50)


def test_a_build_of_another_version_does_not_lower_the_space_that_is_needed(
    paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: list[int] = []
    monkeypatch.setattr(preflight, "require_space", lambda _, size: needed.append(size))
    monkeypatch.setattr(preflight.cgroups, "require_memory", lambda _: None)
    monkeypatch.setattr(preflight.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    (paths.cache / f"kubernetes-1.30-{'a' * 16}").mkdir(parents=True)
    preflight.require_machine(paths)
    preflight.require_machine(replace(paths, kubernetes=KubernetesVersion(1, 30)))
    assert needed == [preflight.BUILD_BYTES, preflight.RUN_BYTES, preflight.RUN_BYTES, preflight.RUN_BYTES]


def claim(paths: ClusterPaths, owner: Path) -> None:
    paths.owner.parent.mkdir(parents=True)
    paths.owner.write_text(str(owner))


def test_a_cluster_of_another_folder_is_an_error(paths: ClusterPaths, tmp_path: Path) -> None:
    claim(paths, tmp_path)
    with pytest.raises(ClusterError) as caught:
        preflight.require_ownership(paths)
    assert str(caught.value) == (
        f"this machine has a cluster whose folder is {tmp_path}, not {paths.state}; "
        f"run `down` with MEMROLL_CLUSTER_DIR={tmp_path} first"
    )


@pytest.mark.parametrize("owner", ["state", "gone"])
def test_the_own_cluster_and_one_whose_folder_is_gone_are_accepted(
    paths: ClusterPaths, tmp_path: Path, owner: str
) -> None:
    paths.state.mkdir()
    claim(paths, tmp_path / owner)
    preflight.require_ownership(paths)
