"""This process's figures, from /proc. What the system does not tell is None."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

KIB = 1024
PROC = Path("/proc/self")
CGROUP = Path("/sys/fs/cgroup")
UNLIMITED_BYTES = 2**60  # what version 1 shows for no limit is a little below 2**63


def rss_bytes(proc: Path = PROC) -> int | None:
    try:
        return int((proc / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def peak_rss_bytes(proc: Path = PROC) -> int | None:
    return _in_bytes(_sum_of(proc / "status", "VmHWM:"))


def uss_bytes(proc: Path = PROC) -> int | None:
    """Return what would be freed if this process ended: it shares the rest with its parent and siblings."""
    return _in_bytes(_sum_of(proc / "smaps_rollup", "Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"))


def _in_bytes(kib: int | None) -> int | None:
    return None if kib is None else kib * KIB


def _sum_of(file: Path, *names: str) -> int | None:
    """Return the sum of these figures of a file that has one a line, after its name; None: there is none of them."""
    try:
        rows = [line.split() for line in file.read_text(encoding="ascii", errors="replace").splitlines()]
        found = [int(row[1]) for row in rows if row and row[0] in names]
    except (OSError, ValueError, IndexError):
        return None
    return sum(found) if found else None


def room_bytes(cgroup: Path = CGROUP) -> int | None:
    """Return how much more memory this container may take; None: no limit is known.

    Files that were read and are not in use stand in its way no more than in that of the kubelet's working set.
    """
    for limit, used, stat, idle in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        try:
            most = int((cgroup / limit).read_text(encoding="ascii"))
            now = int((cgroup / used).read_text(encoding="ascii"))
        except (OSError, ValueError):  # another version, or "max"
            continue
        if most < UNLIMITED_BYTES:
            return max(0, most - max(0, now - (_sum_of(cgroup / stat, idle) or 0)))
    return None


def task_count(loop: asyncio.AbstractEventLoop | None) -> int | None:
    """Count a loop's tasks from any thread: `all_tasks` copies its set and tries again when it changed meanwhile."""
    return None if loop is None or loop.is_closed() else len(asyncio.all_tasks(loop))


def process(loop: asyncio.AbstractEventLoop | None) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "rssBytes": rss_bytes(),
        "peakRssBytes": peak_rss_bytes(),
        "ussBytes": uss_bytes(),
        "threads": threading.active_count(),
        "asyncioTasks": task_count(loop),
    }


def collector() -> dict[str, object]:
    """Return the garbage collector's counters."""
    stats = gc.get_stats()
    return {
        "enabled": gc.isenabled(),
        "counts": list(gc.get_count()),
        "thresholds": list(gc.get_threshold()),
        "collections": [s["collections"] for s in stats],
        "collected": [s["collected"] for s in stats],
        "uncollectable": sum(s["uncollectable"] for s in stats),
    }
