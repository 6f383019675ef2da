"""Memory, threads and garbage collector of this process, from /proc and cgroup files. Missing figures are None."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

KIB = 1024
PROC = Path("/proc/self")
CGROUP = Path("/sys/fs/cgroup")
UNLIMITED_BYTES = 2**60
"""Limit from which a cgroup counts as unlimited, in bytes: without a limit, version 1 shows a little below 2**63."""


def rss_bytes(proc: Path = PROC) -> int | None:
    try:
        return int((proc / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def peak_rss_bytes(proc: Path = PROC) -> int | None:
    return _kib_to_bytes(_sum_fields(proc / "status", "VmHWM:"))


def uss_bytes(proc: Path = PROC) -> int | None:
    """Return the memory that the end of this process would free. The rest is shared with other processes."""
    return _kib_to_bytes(_sum_fields(proc / "smaps_rollup", "Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"))


def _kib_to_bytes(kib: int | None) -> int | None:
    return None if kib is None else kib * KIB


def _sum_fields(file: Path, *names: str) -> int | None:
    """Return the sum of the named fields of a file with one `name value` a line; None if it has none of them."""
    try:
        rows = [line.split() for line in file.read_text(encoding="ascii", errors="replace").splitlines()]
        values = [int(row[1]) for row in rows if row and row[0] in names]
    except (OSError, ValueError, IndexError):
        return None
    return sum(values) if values else None


def headroom_bytes(cgroup: Path = CGROUP) -> int | None:
    """Return how much more memory this container may take; None if no limit is known.

    The inactive part of the page cache counts as free, as in the kubelet's working set.
    """
    for limit_file, usage_file, stat_file, inactive in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ):
        try:
            limit = int((cgroup / limit_file).read_text(encoding="ascii"))
            usage = int((cgroup / usage_file).read_text(encoding="ascii"))
        except (OSError, ValueError):  # another version, or "max"
            continue
        if limit < UNLIMITED_BYTES:
            return max(0, limit - max(0, usage - (_sum_fields(cgroup / stat_file, inactive) or 0)))
    return None


def count_tasks(loop: asyncio.AbstractEventLoop | None) -> int | None:
    """Return the number of a loop's tasks. Safe from any thread: `all_tasks` retries if its set changes meanwhile."""
    return None if loop is None or loop.is_closed() else len(asyncio.all_tasks(loop))


def describe_process(loop: asyncio.AbstractEventLoop | None) -> dict[str, object]:
    """Return the report's `process`."""
    return {
        "pid": os.getpid(),
        "rssBytes": rss_bytes(),
        "peakRssBytes": peak_rss_bytes(),
        "ussBytes": uss_bytes(),
        "threads": threading.active_count(),
        "asyncioTasks": count_tasks(loop),
    }


def describe_gc() -> dict[str, object]:
    """Return the report's `gc`."""
    stats = gc.get_stats()
    return {
        "enabled": gc.isenabled(),
        "counts": list(gc.get_count()),
        "thresholds": list(gc.get_threshold()),
        "collections": [s["collections"] for s in stats],
        "collected": [s["collected"] for s in stats],
        "uncollectable": sum(s["uncollectable"] for s in stats),
    }
