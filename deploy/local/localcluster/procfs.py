"""Finds, identifies and signals processes by /proc. A pid alone identifies no process, because pids are reused."""

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
class ProcessIdentity:
    pid: int
    started: int
    boot: str

    def is_alive(self, proc: Path = PROC) -> bool:
        return identify(self.pid, proc) == self


def identify(pid: int, proc: Path = PROC) -> ProcessIdentity | None:
    """Return the identity of the process with this pid; None if there is none, or only a zombie."""
    try:
        text = (proc / str(pid) / "stat").read_text()
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, started = parse_stat(text)
    return None if state in "ZX" else ProcessIdentity(pid, started, boot)


def parse_stat(text: str) -> tuple[str, int]:
    """Return state and start time. The name precedes them and may contain spaces and brackets."""
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def all_pids(proc: Path = PROC) -> list[int]:
    return sorted(int(path.name) for path in proc.iterdir() if path.name.isdigit())


def find_marked(cluster_id: str, proc: Path = PROC) -> list[ProcessIdentity]:
    """Return the processes that this cluster started, and the container shims that inherited its mark."""
    mark = f"{MARK}={cluster_id}"
    return list(_identify_all(pid for pid in all_pids(proc) if mark in _read_words(proc / str(pid) / "environ")))


def find_shims(socket: Path, proc: Path = PROC) -> list[ProcessIdentity]:
    """Return the container shims that report to the cluster's containerd."""
    return list(_identify_all(pid for pid in all_pids(proc) if is_shim(command_line(pid, proc), socket)))


def is_shim(argv: list[str], socket: Path) -> bool:
    if not argv or not Path(argv[0]).name.startswith("containerd-shim"):
        return False
    return any(argv[i : i + 2] == ["-address", str(socket)] for i in range(len(argv)))


def command_line(pid: int, proc: Path = PROC) -> list[str]:
    return _read_words(proc / str(pid) / "cmdline")


def signal_all(identities: Iterable[ProcessIdentity], number: signal.Signals) -> None:
    for identity in identities:
        with suppress(ProcessLookupError):
            if identity.is_alive():
                os.kill(identity.pid, number)


def wait_until_gone(identities: Iterable[ProcessIdentity], seconds: float) -> list[ProcessIdentity]:
    """Wait for processes to end and return those that have not."""
    deadline = time.monotonic() + seconds
    remaining = list(identities)
    while remaining := [identity for identity in remaining if identity.is_alive()]:
        _reap()
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    return remaining


def kill(identities: Iterable[ProcessIdentity]) -> None:
    killed = list(identities)
    signal_all(killed, signal.SIGKILL)
    remaining = wait_until_gone(killed, 10)
    if remaining:
        pids = ", ".join(str(identity.pid) for identity in remaining)
        raise ClusterError(f"processes survive SIGKILL: {pids}", "the kernel has not released them; try again later")


def _identify_all(pids: Iterable[int]) -> Iterator[ProcessIdentity]:
    for pid in pids:
        identity = identify(pid)
        if identity is not None:
            yield identity


def _read_words(path: Path) -> list[str]:
    try:
        return [os.fsdecode(word) for word in path.read_bytes().split(b"\0") if word]
    except OSError:
        return []


def _reap() -> None:
    """Collect the exit codes of this driver's children, which stay zombies otherwise."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
