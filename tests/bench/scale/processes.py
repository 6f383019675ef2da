"""Processes that the benchmark starts: each is stopped by its own pid, whatever happens. Their CPU and memory."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROC = Path("/proc")
STOP_S = 45
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and stop it at the end. Its output is in the log."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(part) for part in argv], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=env
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Usage:
    """CPU seconds and memory of a process and of its children, such as workers."""

    cpu_s: float
    rss_bytes: int
    peak_bytes: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.cpu_s + other.cpu_s, self.rss_bytes + other.rss_bytes, self.peak_bytes + other.peak_bytes)


NO_USAGE = Usage(0.0, 0, 0)


def usage_of(pid: int) -> Usage:
    """Return the usage of a process and of all its descendants that run; of a process that is gone, none."""
    total = NO_USAGE
    for one in _with_descendants(pid):
        try:
            total += parse_usage((PROC / str(one) / "stat").read_text(), (PROC / str(one) / "status").read_text())
        except OSError:
            continue
    return total


def parse_usage(stat: str, status: str) -> Usage:
    """Parse /proc/PID/stat and /proc/PID/status. CPU includes children that have ended and were waited for."""
    fields = stat[stat.rindex(")") + 2 :].split()
    ticks = sum(int(field) for field in fields[11:15])
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    rss, peak = (int(lines.get(name, "0 kB").split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return Usage(ticks / TICKS_PER_S, rss, peak)


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for children in (PROC / str(one) / "task").glob("*/children"):
            try:
                found += [int(word) for word in children.read_text().split()]
            except OSError:
                continue
    return found
