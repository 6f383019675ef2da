from pathlib import Path

import pytest

from localcluster import cgroups
from localcluster.errors import ClusterError
from localcluster.mounts import Mount


def test_a_v1_memory_controller_is_enough() -> None:
    v1 = Mount(Path("/sys/fs/cgroup/memory"), "cgroup", frozenset({"rw", "memory"}))
    v2 = Mount(Path("/sys/fs/cgroup/unified"), "cgroup2", frozenset({"rw"}))
    cgroups.require_memory([v1, v2])


def test_a_v2_memory_controller_is_enough(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    cgroups.require_memory([Mount(tmp_path, "cgroup2", frozenset())])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param([], "no control groups are mounted", id="none"),
        pytest.param([Mount(Path("/c"), "cgroup", frozenset({"cpu"}))], "no memory controller", id="v1 without memory"),
        pytest.param([Mount(Path("/none"), "cgroup2", frozenset())], "no memory controller", id="v2 without memory"),
    ],
)
def test_without_a_memory_controller_there_is_no_cluster(found: list[Mount], message: str) -> None:
    with pytest.raises(ClusterError, match=f"{message}.*; boot with cgroup v2"):
        cgroups.require_memory(found)


def make_group(hierarchy: Path, path: str, *pids: int) -> None:
    group = hierarchy / path
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


def test_only_processes_in_the_groups_of_the_cluster_s_containers_are_found(tmp_path: Path) -> None:
    make_group(tmp_path, "kubepods/burstable/pod1/ours", 11)
    make_group(tmp_path, "kubepods/burstable/pod1/ours/nested", 12)
    make_group(tmp_path, "kubepods/burstable/pod2/theirs", 13)
    make_group(tmp_path, "elsewhere/ours", 14)
    assert sorted(cgroups.find_members(tmp_path, frozenset({"ours"}))) == [11, 12]


def test_empty_groups_are_removed_from_the_leaves_up(tmp_path: Path) -> None:
    (tmp_path / "kubepods/besteffort/pod1/a").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    cgroups.remove_empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
