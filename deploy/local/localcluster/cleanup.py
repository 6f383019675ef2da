"""Finds and removes everything that belongs to the cluster, whether it was stopped, killed or half made.

Each step examines the machine, not records, and removes only what is identified as this cluster's: by its mark in a
process's environment, its socket in a shim's arguments, its container ids in a control group's path, or its folders in
a mount's path. Called by down and up.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from localcluster import cgroups, debian, iptables, mounts, network, ports, procfs, sysctl
from localcluster.node_config import CNI_NETWORK
from localcluster.paths import ClusterPaths
from localcluster.procfs import ProcessIdentity
from localcluster.progress import Reporter

Step = Callable[[ClusterPaths], object]

SHIM_SOCKETS = Path("/run/containerd")
NETWORK_RESULTS = Path("/var/lib/cni")
KUBELET_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
LOG_LINKS = Path("/var/log/containers")
_CRI = "containerd/io.containerd.grpc.v1.cri"
_TASKS = "containerd/io.containerd.runtime.v2.task/k8s.io"
_ATTEMPTS = 50
_POLL_SECONDS = 0.1


def clean_up(paths: ClusterPaths, report: Reporter) -> None:
    steps: tuple[tuple[str, Step], ...] = (
        ("processes", _kill_processes),
        ("container processes", _kill_containers),
        ("container shim sockets", _remove_shim_sockets),
        ("mounts", _unmount),
        ("control groups", _remove_cgroups),
        ("pod network records", _remove_network_results),
        ("log links", _remove_log_links),
        ("the kubelet's socket", _remove_kubelet_socket),
        ("packet filter chains", lambda _: shutil.which("iptables-save") and iptables.remove_chains()),
        ("the bridge", lambda paths: shutil.which("ip") and network.remove(paths.network)),
    )
    for name, step in steps:
        if step(paths):
            report(f"removed {name}")
    sysctl.restore(paths.state / "sysctl.json")
    debian.remove_policy_file()
    for folder in (paths.run, paths.state):
        shutil.rmtree(folder, ignore_errors=True)


def container_ids(paths: ClusterPaths) -> frozenset[str]:
    """Return the ids of every container and pod sandbox, read from containerd's folders."""
    folders = (paths.state / _CRI / "containers", paths.state / _CRI / "sandboxes", paths.run / _TASKS)
    return frozenset(entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir())


def shim_sockets(paths: ClusterPaths) -> list[Path]:
    """Return the sockets of the shims, which are outside the cluster's folders. Each task has a record of its own."""
    addresses = [path.read_text().strip() for path in (paths.run / _TASKS).glob("*/address")]
    return [Path(address.removeprefix("unix://")) for address in addresses if address.startswith("unix:///")]


def _kill_processes(paths: ClusterPaths) -> list[ProcessIdentity]:
    found = {*procfs.find_marked(paths.cluster_id), *procfs.find_shims(paths.containerd_socket)}
    procfs.kill(found)
    return sorted(found, key=lambda identity: identity.pid)


def _kill_containers(paths: ClusterPaths) -> bool:
    ids = container_ids(paths)
    found = _find_members(ids)
    killed = bool(found)
    for _ in range(_ATTEMPTS):
        if not found:
            break
        procfs.kill(found)
        found = _find_members(ids)
    return killed


def _find_members(ids: frozenset[str]) -> set[ProcessIdentity]:
    pids = {pid for hierarchy in _hierarchies() for pid in cgroups.find_members(hierarchy, ids)}
    return {identity for pid in pids if (identity := procfs.identify(pid)) is not None}


def _hierarchies() -> list[Path]:
    return cgroups.hierarchies(mounts.parse(mounts.MOUNTINFO.read_text()))


def remove_dead_shim_sockets(paths: ClusterPaths) -> None:
    """Remove the sockets of killed shims while their records exist: containerd removes only the records."""
    for path in shim_sockets(paths):
        if not ports.can_connect(path):
            path.unlink(missing_ok=True)


def _remove_shim_sockets(paths: ClusterPaths) -> list[Path]:
    found = [path for path in shim_sockets(paths) if path.is_relative_to(SHIM_SOCKETS)]
    _unlink(found)
    for folder in (SHIM_SOCKETS / "s", SHIM_SOCKETS):
        _remove_if_empty(folder)
    return found


def _unmount(paths: ClusterPaths) -> list[Path]:
    return [*mounts.unmount_below(paths.run), *mounts.unmount_below(paths.state)]


def _remove_cgroups(_: ClusterPaths) -> bool:
    found = cgroups.find_remaining(_hierarchies())
    for _attempt in range(_ATTEMPTS):
        for hierarchy in _hierarchies():
            cgroups.remove_empty(hierarchy)
        if not cgroups.find_remaining(_hierarchies()):
            break
        time.sleep(_POLL_SECONDS)
    return bool(found)


def _remove_network_results(paths: ClusterPaths) -> list[Path]:
    results = NETWORK_RESULTS / "results"
    found = [path for path in results.glob("*") if _is_own_result(path, paths)]
    _unlink(found)
    for folder in (results, NETWORK_RESULTS):
        _remove_if_empty(folder)
    return found


def _is_own_result(path: Path, paths: ClusterPaths) -> bool:
    """Return whether a network result is of the cluster.

    Each pod has one with the network's name, and one of its loopback that only its content identifies.
    """
    if path.name.startswith(f"{CNI_NETWORK}-") or container_ids(paths).intersection(path.name.split("-")):
        return True
    return f'"{paths.network.address}"' in path.read_text(errors="replace")


def _remove_kubelet_socket(_: ClusterPaths) -> bool:
    """Remove the socket that a kubelet creates outside its root folder, unless some kubelet listens there."""
    existed = KUBELET_SOCKET.exists()
    if existed and not ports.can_connect(KUBELET_SOCKET):
        KUBELET_SOCKET.unlink()
    for folder in (KUBELET_SOCKET.parent, KUBELET_SOCKET.parent.parent):
        _remove_if_empty(folder)
    return existed


def _remove_log_links(paths: ClusterPaths) -> list[Path]:
    links = [path for path in LOG_LINKS.glob("*.log") if path.is_symlink()]
    found = [path for path in links if path.readlink().is_relative_to(paths.pod_logs)]
    _unlink(found)
    _remove_if_empty(LOG_LINKS)
    return found


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
