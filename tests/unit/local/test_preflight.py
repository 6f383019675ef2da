from pathlib import Path

import pytest

from localcluster import preflight
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths


def test_a_disk_that_is_too_small_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=rf"{tmp_path} has .* GiB free, 1048576 GiB are needed; make room"):
        preflight.require_space(tmp_path / "not" / "there", 2**50)


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
