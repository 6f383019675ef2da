import os
import subprocess
from pathlib import Path

import pytest

from localcluster import mounts
from localcluster.mounts import Mount

MOUNTINFO = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 21 0:25 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 21 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
40 21 0:40 / /var/lib/memroll-local/kubelet/pods/a rw - tmpfs tmpfs rw,size=1k
41 40 0:41 / /var/lib/memroll-local/kubelet/pods/a/b\\040c rw - tmpfs tmpfs rw
42 21 0:42 / /var/lib/memroll-local-too rw - tmpfs tmpfs rw
"""


def test_mounts_below_a_folder_are_sorted_deepest_first_without_those_of_a_neighbour() -> None:
    found = mounts.mount_points_below(Path("/var/lib/memroll-local"), mounts.parse(MOUNTINFO))
    base = "/var/lib/memroll-local/kubelet/pods/a"
    assert [str(path) for path in found] == [f"{base}/b c", base]


def test_a_mount_has_its_kind_and_options() -> None:
    assert mounts.parse(MOUNTINFO)[1] == Mount(Path("/sys/fs/cgroup/memory"), "cgroup", frozenset({"rw", "memory"}))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_unmounting_below_a_folder_keeps_the_mounted_files(tmp_path: Path) -> None:
    source, removed = tmp_path / "source", tmp_path / "removed"
    for folder in (source, removed / "inside"):
        folder.mkdir(parents=True)
    (source / "file").touch()
    subprocess.run(["mount", "--bind", source, removed / "inside"], check=True)
    assert mounts.unmount_below(removed) == [removed / "inside"]
    assert list((removed / "inside").iterdir()) == []
    assert (source / "file").exists()
