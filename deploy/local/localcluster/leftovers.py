"""Finds and removes what belongs to the cluster, whether it was stopped, killed, or only half made.

Each step looks at the machine, not at notes, and takes only what carries a mark of this cluster: its mark in
a process's environment, its socket in a shim's arguments, its container ids in a control group's path, its
folders in a mount's path.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from localcluster import cgroups, debian, iptables, mounts, network, ports, proc, sysctl
from localcluster.layout import Layout
from localcluster.node_config import CNI_NETWORK
from localcluster.proc import Identity
from localcluster.report import Report

Step = Callable[[Layout], object]

SHIM_SOCKETS = Path("/run/containerd")
NETWORK_RESULTS = Path("/var/lib/cni")
KUBELET_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
LOG_LINKS = Path("/var/log/containers")
_CRI = "containerd/io.containerd.grpc.v1.cri"
_TASKS = "containerd/io.containerd.runtime.v2.task/k8s.io"
_ATTEMPTS = 50
_POLL_SECONDS = 0.1


def sweep(layout: Layout, report: Report) -> None:
    steps: tuple[tuple[str, Step], ...] = (
        ("processes", _kill_processes),
        ("container processes", _kill_containers),
        ("container shim sockets", _remove_shim_sockets),
        ("mounts", _unmount),
        ("control groups", _remove_cgroups),
        ("pod network records", _remove_network_results),
        ("log links", _remove_log_links),
        ("the kubelet's socket", _remove_kubelet_socket),
        ("packet filter chains", lambda _: shutil.which("iptables-save") and iptables.clean()),
        ("the bridge", lambda layout: shutil.which("ip") and network.remove(layout.network)),
    )
    for name, step in steps:
        if step(layout):
            report(f"removed {name}")
    sysctl.restore(layout.state / "sysctl.json")
    debian.remove_guard()
    for folder in (layout.run, layout.state):
        shutil.rmtree(folder, ignore_errors=True)


def container_ids(layout: Layout) -> frozenset[str]:
    """Read the ids of every container and pod sandbox of this containerd from its folders."""
    folders = (layout.state / _CRI / "containers", layout.state / _CRI / "sandboxes", layout.run / _TASKS)
    return frozenset(entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir())


def shim_sockets(layout: Layout) -> list[Path]:
    """Read where the shims listen: outside the cluster's folders, as each notes beside its container."""
    notes = [path.read_text().strip() for path in (layout.run / _TASKS).glob("*/address")]
    return [Path(note.removeprefix("unix://")) for note in notes if note.startswith("unix:///")]


def _kill_processes(layout: Layout) -> list[Identity]:
    found = {*proc.marked(layout.cluster_id), *proc.shims(layout.containerd_socket)}
    proc.kill(found)
    return sorted(found, key=lambda identity: identity.pid)


def _kill_containers(layout: Layout) -> bool:
    ids = container_ids(layout)
    found = _members(ids)
    killed = bool(found)
    for _ in range(_ATTEMPTS):
        if not found:
            break
        proc.kill(found)
        found = _members(ids)
    return killed


def _members(ids: frozenset[str]) -> set[Identity]:
    pids = {pid for hierarchy in _hierarchies() for pid in cgroups.members(hierarchy, ids)}
    return {identity for pid in pids if (identity := proc.identify(pid)) is not None}


def _hierarchies() -> list[Path]:
    return cgroups.hierarchies(mounts.parse(mounts.MOUNTINFO.read_text()))


def remove_dead_shim_sockets(layout: Layout) -> None:
    """Remove the sockets of killed shims while their notes are still there: containerd clears only the notes."""
    for path in shim_sockets(layout):
        if not ports.connects(path):
            path.unlink(missing_ok=True)


def _remove_shim_sockets(layout: Layout) -> list[Path]:
    found = [path for path in shim_sockets(layout) if path.is_relative_to(SHIM_SOCKETS)]
    _unlink(found)
    for folder in (SHIM_SOCKETS / "s", SHIM_SOCKETS):
        _remove_if_empty(folder)
    return found


def _unmount(layout: Layout) -> list[Path]:
    return [*mounts.unmount_below(layout.run), *mounts.unmount_below(layout.state)]


def _remove_cgroups(_: Layout) -> bool:
    found = cgroups.left(_hierarchies())
    for _attempt in range(_ATTEMPTS):
        for hierarchy in _hierarchies():
            cgroups.remove_empty(hierarchy)
        if not cgroups.left(_hierarchies()):
            break
        time.sleep(_POLL_SECONDS)
    return bool(found)


def _remove_network_results(layout: Layout) -> list[Path]:
    results = NETWORK_RESULTS / "results"
    found = [path for path in results.glob("*") if _is_our_result(path, layout)]
    _unlink(found)
    for folder in (results, NETWORK_RESULTS):
        _remove_if_empty(folder)
    return found


def _is_our_result(path: Path, layout: Layout) -> bool:
    """Every pod has one under our network's name, and one of its loopback that only its content tells apart."""
    if path.name.startswith(f"{CNI_NETWORK}-") or container_ids(layout).intersection(path.name.split("-")):
        return True
    return f'"{layout.network.address}"' in path.read_text(errors="replace")


def _remove_kubelet_socket(_: Layout) -> bool:
    """Remove the one thing a kubelet puts outside its root folder, unless some kubelet listens there."""
    existed = KUBELET_SOCKET.exists()
    if existed and not ports.connects(KUBELET_SOCKET):
        KUBELET_SOCKET.unlink()
    for folder in (KUBELET_SOCKET.parent, KUBELET_SOCKET.parent.parent):
        _remove_if_empty(folder)
    return existed


def _remove_log_links(layout: Layout) -> list[Path]:
    links = [path for path in LOG_LINKS.glob("*.log") if path.is_symlink()]
    found = [path for path in links if path.readlink().is_relative_to(layout.pod_logs)]
    _unlink(found)
    _remove_if_empty(LOG_LINKS)
    return found


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
