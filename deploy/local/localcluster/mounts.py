"""Reads the mount table and unmounts what is below a folder of the cluster. Called by cleanup, cache and preflight."""

import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError

MOUNTINFO = Path("/proc/self/mountinfo")
_DETACH = 2
_GONE = (2, 22)  # ENOENT, EINVAL: unmounted meanwhile


@dataclass(frozen=True)
class Mount:
    path: Path
    kind: str
    options: frozenset[str]


def parse(text: str) -> list[Mount]:
    return [_parse_line(line) for line in text.splitlines()]


def mount_points_below(folder: Path, mounts: list[Mount]) -> list[Path]:
    """Return the mount points in or below a folder, the last mounted first."""
    return [mount.path for mount in reversed(mounts) if mount.path.is_relative_to(folder)]


def unmount_below(folder: Path) -> list[Path]:
    points = mount_points_below(folder, parse(MOUNTINFO.read_text()))
    for point in points:
        _unmount(point)
    return points


def _unmount(point: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(point), _DETACH) == 0:
        return
    code = ctypes.get_errno()
    if code not in _GONE:
        raise ClusterError(f"cannot unmount {point}: {os.strerror(code)}", "unmount it by hand and try again")


def _parse_line(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    path = before.split(" ")[4]
    kind, _, super_options = after.split(" ", 2)
    return Mount(Path(_unescape(path)), kind, frozenset(super_options.split(",")))


def _unescape(path: str) -> str:
    """Decode octal escapes: the kernel writes a space as a backslash and 040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), path)
