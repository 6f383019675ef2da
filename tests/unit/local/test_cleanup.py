import socket
from pathlib import Path

from localcluster import cleanup
from localcluster.paths import ClusterPaths


def test_container_ids_are_read_from_containerds_folders(paths: ClusterPaths) -> None:
    cri = paths.state / "containerd/io.containerd.grpc.v1.cri"
    (cri / "containers/one").mkdir(parents=True)
    (cri / "sandboxes/two").mkdir(parents=True)
    (paths.run / "containerd/io.containerd.runtime.v2.task/k8s.io/three").mkdir(parents=True)
    assert cleanup.container_ids(paths) == {"one", "two", "three"}


def test_the_socket_of_a_dead_shim_is_removed_and_that_of_a_living_one_is_kept(
    paths: ClusterPaths, tmp_path: Path
) -> None:
    tasks = paths.run / "containerd/io.containerd.runtime.v2.task/k8s.io"
    for name in ("dead", "living"):
        (tasks / name).mkdir(parents=True)
        (tasks / name / "address").write_text(f"unix://{tmp_path / name}")
    (tmp_path / "dead").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "living"))
        server.listen()
        cleanup.remove_dead_shim_sockets(paths)
    assert not (tmp_path / "dead").exists()
    assert (tmp_path / "living").exists()
