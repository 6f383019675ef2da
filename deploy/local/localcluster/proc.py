"""Processes as /proc shows them. A process is its pid together with its start time: pids are used again."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError

PROC = Path("/proc")
MARK = "MEMROLL_LOCAL_CLUSTER"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Identity:
    pid: int
    started: int
    boot: str

    def alive(self, proc: Path = PROC) -> bool:
        return identify(self.pid, proc) == self


def identify(pid: int, proc: Path = PROC) -> Identity | None:
    """Who has this pid now; None when nobody, or only a zombie."""
    try:
        text = (proc / str(pid) / "stat").read_text()
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, started = parse_stat(text)
    return None if state in "ZX" else Identity(pid, started, boot)


def parse_stat(text: str) -> tuple[str, int]:
    """State and start time. The name comes before them and may hold spaces and brackets."""
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def all_pids(proc: Path = PROC) -> list[int]:
    return sorted(int(path.name) for path in proc.iterdir() if path.name.isdigit())


def marked(cluster_id: str, proc: Path = PROC) -> list[Identity]:
    """Find what this cluster started, and the container shims that inherited its mark."""
    mark = f"{MARK}={cluster_id}"
    return list(_known(pid for pid in all_pids(proc) if mark in _words(proc / str(pid) / "environ")))


def shims(socket: Path, proc: Path = PROC) -> list[Identity]:
    """Find the container shims that report to our containerd."""
    return list(_known(pid for pid in all_pids(proc) if is_shim(command_line(pid, proc), socket)))


def is_shim(argv: list[str], socket: Path) -> bool:
    if not argv or not Path(argv[0]).name.startswith("containerd-shim"):
        return False
    return any(argv[i : i + 2] == ["-address", str(socket)] for i in range(len(argv)))


def command_line(pid: int, proc: Path = PROC) -> list[str]:
    return _words(proc / str(pid) / "cmdline")


def signal_all(identities: Iterable[Identity], number: signal.Signals) -> None:
    for identity in identities:
        with suppress(ProcessLookupError):
            if identity.alive():
                os.kill(identity.pid, number)


def wait_gone(identities: Iterable[Identity], seconds: float) -> list[Identity]:
    """Wait for processes to end; returns those that have not."""
    deadline = time.monotonic() + seconds
    left = list(identities)
    while left := [identity for identity in left if identity.alive()]:
        _reap()
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    return left


def kill(identities: Iterable[Identity]) -> None:
    doomed = list(identities)
    signal_all(doomed, signal.SIGKILL)
    left = wait_gone(doomed, 10)
    if left:
        pids = ", ".join(str(identity.pid) for identity in left)
        raise ClusterError(f"processes survive SIGKILL: {pids}", "they wait for the kernel; try again later")


def _known(pids: Iterable[int]) -> Iterator[Identity]:
    for pid in pids:
        identity = identify(pid)
        if identity is not None:
            yield identity


def _words(path: Path) -> list[str]:
    try:
        return [os.fsdecode(word) for word in path.read_bytes().split(b"\0") if word]
    except OSError:
        return []


def _reap() -> None:
    """Children of this very driver stay zombies until someone asks for their exit code."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
