"""Runs programs to their end. An error contains the command, its exit code and its last lines of output."""

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from localcluster.errors import CommandFailedError

LAST_LINES = 15

_running: set["subprocess.Popen[str]"] = set()
_running_lock = threading.Lock()


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    log: Path | None = None,
) -> str:
    """Run a program and return its output; with `log` the output goes to that file instead."""
    command = [str(part) for part in argv]
    if log is None:
        code, output = _execute(command, cwd, env, stdin, subprocess.PIPE)
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as stream:
            code, _ = _execute(command, cwd, env, stdin, stream)
        output = "\n".join(tail(log)) if code else ""
    if code:
        raise CommandFailedError(describe_failure(command, code, output))
    return output


def succeeds(argv: Sequence[str | Path]) -> bool:
    try:
        run(argv)
    except CommandFailedError:
        return False
    return True


def tail(path: Path, lines: int = LAST_LINES) -> list[str]:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]


def describe_failure(command: Sequence[str], code: int, output: str) -> str:
    last = "\n".join(f"  {line}" for line in output.splitlines()[-LAST_LINES:])
    shown = shlex.join(command)
    return f"`{shown}` ended with code {code}" + (f":\n{last}\n" if last else "")


def interrupt() -> None:
    """Send SIGTERM to every running program: another step has failed, or the user pressed Ctrl-C."""
    with _running_lock:
        for process in _running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def _execute(
    command: list[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: str | None,
    stdout: int | IO[str],
) -> tuple[int, str]:
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A group of its own, so that interrupt() reaches the compilers under `go build` as well.
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailedError(f"cannot run `{command[0]}`: {error.strerror}") from error
    with _running_lock:
        _running.add(process)
    try:
        output, _ = process.communicate(stdin)
    finally:
        with _running_lock:
            _running.discard(process)
    return process.returncode, output or ""
