"""Operator as a local process that can be killed, suspended and resumed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from memroll_demo.cluster import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
OPERATOR = (sys.executable, "-m", "memroll", "operator")
TERMINATION_TIMEOUT_S = 15.0


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class OperatorProcess:
    """Operator process that `start` restarts after a kill. `settings` become MEMROLL_* variables."""

    name: str
    kubeconfig: Path
    folder: Path
    settings: dict[str, str]
    command: Sequence[str] = OPERATOR
    start_count: int = 0
    port: int = field(default_factory=find_free_port)
    _running: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        assert not self.is_alive, f"{self.name} is already running"
        self.start_count += 1
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
            "PYTHONUNBUFFERED": "1",
            "KUBECONFIG": str(self.kubeconfig),
            "MEMROLL_IDENTITY": self.name,
            "MEMROLL_HTTP_HOST": "127.0.0.1",
            "MEMROLL_HTTP_PORT": str(self.port),
            "MEMROLL_LOG_FORMAT": "json",
            "MEMROLL_MIN_INTERVAL": "5s",
            "MEMROLL_MANUAL_ROLLS_PER_HOUR": "10000",
            **{f"MEMROLL_{k}": v for k, v in self.settings.items()},
        }
        with self.log_file.open("ab") as log:
            log.write(f"--- start {self.start_count}\n".encode())
            log.flush()
            self._running = subprocess.Popen(self.command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        return self

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self._running is not None, f"{self.name} was never started"
        return self._running.pid

    @property
    def is_alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def kill(self) -> None:
        """Send SIGKILL, as the kernel does."""
        self._signal(signal.SIGKILL)
        assert self._running is not None
        self._running.wait(TERMINATION_TIMEOUT_S)

    def suspend(self) -> None:
        """Send SIGSTOP: the process pauses with open connections."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def terminate(self) -> int:
        """Send SIGTERM, and SIGKILL after a timeout; return the exit code."""
        if self._running is None:
            return 0
        if self.is_alive:
            self.resume()
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._running.wait(TERMINATION_TIMEOUT_S)
        if self.is_alive:
            self.kill()
        return self._running.returncode

    def _signal(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.send_signal(number)

    def read_metric(self, name: str) -> float | None:
        """Return the value of a metric without labels; None if it is not available."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as response:
                lines = response.read().decode().splitlines()
        except (OSError, urllib.error.URLError):
            return None
        return next((float(line.split()[1]) for line in lines if line.split()[0] == name), None)

    def wait_until_leader(self, timeout_s: float = 60.0) -> None:
        def is_leader() -> bool:
            assert self.is_alive, f"{self.name} has ended:\n{self.tail()}"
            return self.read_metric("memroll_leader") == 1.0

        wait_for(f"{self.name} to lead", is_leader, timeout_s)

    def tail(self, lines: int = 40) -> str:
        text = self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def pause(seconds: float) -> None:
    """Sleep where time itself is the condition: a kill at a random time, a pause longer than the Lease."""
    time.sleep(seconds)
