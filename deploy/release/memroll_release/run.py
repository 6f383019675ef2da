"""Runs a program of the build; an error contains the end of its output."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

from memroll_release.release import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LAST_CHARACTERS = 2000
"""End of the output that an error contains, in characters. Chosen by hand."""


def run(command: Sequence[object], *, cwd: Path, environment: Mapping[str, str]) -> str:
    shown = shlex.join(map(str, command))
    try:
        done = subprocess.run(
            list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise ReleaseError(f"cannot run {shown}: {error.strerror}") from error
    if done.returncode:
        raise ReleaseError(f"{shown} failed: {(done.stdout + done.stderr)[-LAST_CHARACTERS:].strip()}")
    return done.stdout
