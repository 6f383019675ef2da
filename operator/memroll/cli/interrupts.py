"""Ctrl-C while a command runs: it ends the command at once, with one line, also while a thread waits for a server."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from memroll.cli import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

GRACE_S = 1.0
"""Time in seconds for a command to end after Ctrl-C, chosen by hand: a person waits for it."""
SHOW_CURSOR = "\x1b[?25h"
"""Control sequence that shows the cursor, which a progress bar hides."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C end the command. Before and after, it ends the process, without a traceback of an import.

    Nothing is changed if another handler is set, as in a test or under `nohup`.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupt(_: int, __: FrameType | None) -> None:
    """Raise KeyboardInterrupt, and end the process a moment later in any case.

    asyncio and the interpreter wait for all threads at their end. One that waits for a server may do so for minutes.
    """
    timer = threading.Timer(GRACE_S, _end)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _end() -> None:
    code = errors.report_interrupt()
    with suppress(OSError, ValueError):  # nobody reads standard error
        if sys.stderr.isatty():
            sys.stderr.write(SHOW_CURSOR)
            sys.stderr.flush()
    atexit._run_exitfuncs()  # noqa: SLF001 - `os._exit` skips it, and the kubeconfig's keys are in temporary files
    os._exit(code)
