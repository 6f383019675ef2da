"""Control groups: checks the memory controller, and finds and removes the groups of the cluster's containers."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.mounts import Mount

PODS = "kubepods"
_REMEDY = "boot with cgroup v2, or mount the v1 controllers below /sys/fs/cgroup"


def require_memory(mounts: list[Mount]) -> None:
    """Raise without a memory controller of either version: containers would have no limit and no usage."""
    roots = [mount for mount in mounts if mount.kind in {"cgroup", "cgroup2"}]
    if not roots:
        raise ClusterError("no control groups are mounted", _REMEDY)
    if not any(_has_memory(mount) for mount in roots):
        raise ClusterError("no memory controller among the control groups", _REMEDY)


def hierarchies(mounts: list[Mount]) -> list[Path]:
    return [mount.path for mount in mounts if mount.kind in {"cgroup", "cgroup2"}]


def find_members(hierarchy: Path, containers: frozenset[str]) -> Iterator[int]:
    """Return the pids in the groups of these containers."""
    for group in _groups(hierarchy / PODS):
        if containers.intersection(group.relative_to(hierarchy).parts):
            yield from _pids(group)


def remove_empty(hierarchy: Path) -> None:
    """Remove the pods' groups from the leaves up, except those that still have a process."""
    for group in sorted(_groups(hierarchy / PODS), reverse=True):
        with suppress(OSError):
            group.rmdir()


def find_remaining(hierarchies: Iterable[Path]) -> list[Path]:
    return [hierarchy / PODS for hierarchy in hierarchies if (hierarchy / PODS).exists()]


def _has_memory(mount: Mount) -> bool:
    if mount.kind == "cgroup":
        return "memory" in mount.options
    controllers = mount.path / "cgroup.controllers"
    return controllers.exists() and "memory" in controllers.read_text().split()


def _groups(top: Path) -> list[Path]:
    if not top.is_dir():
        return []
    return [top, *(path for path in top.rglob("*") if path.is_dir())]


def _pids(group: Path) -> list[int]:
    try:
        return [int(word) for word in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []
