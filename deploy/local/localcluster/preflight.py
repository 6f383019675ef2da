"""Checks of the machine before anything is changed. Each error is one line with its remedy."""

import os
import shutil
from pathlib import Path

from localcluster import cgroups, mounts
from localcluster.cache import KEY_LENGTH
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths

GIB = 1024**3
# Go's own caches take most of BUILD_BYTES.
BUILD_BYTES = 12 * GIB
RUN_BYTES = 3 * GIB


def require_root(uid: int | None = None) -> None:
    if (os.geteuid() if uid is None else uid) != 0:
        raise ClusterError("this needs root, for network interfaces, mounts and control groups", "run it with sudo")


def require_ownership(paths: ClusterPaths) -> None:
    """Raise if the machine has a cluster of another state folder: both would use the same bridge, sockets and ports."""
    try:
        owner = paths.owner.read_text().strip()
    except FileNotFoundError:
        return
    if owner != str(paths.state) and Path(owner).exists():
        raise ClusterError(
            f"this machine has a cluster whose folder is {owner}, not {paths.state}",
            f"run `down` with MEMROLL_CLUSTER_DIR={owner} first",
        )


def require_machine(paths: ClusterPaths) -> None:
    for tool in ("apt-get", "dpkg-query"):
        if shutil.which(tool) is None:
            raise ClusterError(f"there is no `{tool}`: this machine is not a Debian", "use a Debian 12 machine")
    cgroups.require_memory(mounts.parse(mounts.MOUNTINFO.read_text()))
    built = any(paths.cache.glob(f"{paths.kubernetes.folder}-{'?' * KEY_LENGTH}"))
    require_space(paths.cache, RUN_BYTES if built else BUILD_BYTES)
    require_space(paths.state, RUN_BYTES)


def require_space(folder: Path, needed: int) -> None:
    existing = next(path for path in [folder, *folder.parents] if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ClusterError(
            f"{existing} has {free / GIB:.1f} GiB free, {needed / GIB:.0f} GiB are needed",
            "make room, or put XDG_CACHE_HOME and MEMROLL_CLUSTER_DIR on a larger disk",
        )
