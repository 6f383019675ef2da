"""Command line of `memroll` and `kubectl memroll`. `run` parses the arguments, runs a command, returns its exit code.

Each command is a module of this folder, which is imported only when the command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPLETION_VARIABLE = "_MEMROLL_COMPLETE"
"""Environment variable by which a shell requests completions."""


def run(argv: Sequence[str]) -> int:
    """Run the command and return the exit code."""
    from memroll.cli import app, errors  # noqa: PLC0415 - `from memroll.cli import x` need not load click

    name = "kubectl memroll" if Path(argv[0]).name.startswith("kubectl-") else "memroll"
    return errors.run_safely(name, lambda: app.main(name, list(argv[1:])))
