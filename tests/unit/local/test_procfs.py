from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import procfs
from localcluster.paths import ClusterPaths
from localcluster.procfs import ProcessIdentity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7 (etcd) S " + " ".join(str(n) for n in range(4, 53)), ("S", 22), id="a plain name"),
        pytest.param("7 (a) b) (c) Z " + " ".join(str(n) for n in range(4, 53)), ("Z", 22), id="brackets and spaces"),
    ],
)
def test_state_and_start_time_are_parsed(text: str, expected: tuple[str, int]) -> None:
    assert procfs.parse_stat(text) == expected


def test_the_mark_distinguishes_clusters(paths: ClusterPaths, started: ProcessIdentity) -> None:
    assert started in procfs.find_marked(paths.cluster_id)
    assert procfs.find_marked(replace(paths, state=paths.state / "other").cluster_id) == []


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
def test_shims_of_the_cluster_s_containerd_are_recognized(argv: list[str], *, expected: bool) -> None:
    assert procfs.is_shim(argv, Path("/s")) is expected
