"""Processes that tests start."""

from __future__ import annotations

import sys

_RESTORE = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def interruptible(*arguments: str) -> list[str]:
    """Return the command of a Python process that SIGINT interrupts, also if the tests run where it is ignored.

    A shell has its background processes ignore SIGINT, and all that they start inherit that.
    """
    return [sys.executable, "-c", _RESTORE, sys.executable, *arguments]
