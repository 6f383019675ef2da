"""The operator as a local process that can be killed, stopped and resumed. Ended by its pid, whatever happens."""

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

from memroll_demo.site import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
OPERATOR = (sys.executable, "-m", "memroll", "operator")
TERM_S = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Operator:
    """One operator process; `start` it again after a kill. `settings` become MEMROLL_* variables."""

    name: str
    kubeconfig: Path
    folder: Path
    settings: dict[str, str]
    command: Sequence[str] = OPERATOR
    starts: int = 0
    port: int = field(default_factory=free_port)
    _running: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        assert not self.alive, f"{self.name} runs already"
        self.starts += 1
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
            **{f"MEMROLL_{k}": v for k, v in self.settings.items()},
        }
        with self.log.open("ab") as log:
            log.write(f"--- start {self.starts}\n".encode())
            log.flush()
            self._running = subprocess.Popen(self.command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        return self

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self._running is not None, f"{self.name} was never started"
        return self._running.pid

    @property
    def alive(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def kill(self) -> None:
        """SIGKILL, as the kernel would."""
        self._signal(signal.SIGKILL)
        assert self._running is not None
        self._running.wait(TERM_S)

    def stop(self) -> None:
        """SIGSTOP: paused, all its connections open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> int:
        """Ask it to stop; kill it when it does not. Return its exit code."""
        if self._running is None:
            return 0
        if self.alive:
            self.resume()
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._running.wait(TERM_S)
        if self.alive:
            self.kill()
        return self._running.returncode

    def _signal(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.send_signal(number)

    def metric(self, name: str) -> float | None:
        """Return a metric without labels; None while it can't be had."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except (OSError, urllib.error.URLError):
            return None
        return next((float(line.split()[1]) for line in lines if line.split()[0] == name), None)

    def wait_leader(self, timeout_s: float = 60.0) -> None:
        def leads() -> bool:
            assert self.alive, f"{self.name} has ended:\n{self.tail()}"
            return self.metric("memroll_leader") == 1.0

        wait_for(f"{self.name} to lead", leads, timeout_s)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8").splitlines()[-lines:]) if self.log.exists() else ""


def pause(seconds: float) -> None:
    """Let time pass on purpose: a kill at a random moment, a stop past the lease."""
    time.sleep(seconds)
