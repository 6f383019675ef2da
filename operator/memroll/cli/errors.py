"""Exit codes, and the end of a command by an error: one line on standard error with cause and remedy."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

import click

from memroll import logs
from memroll.errors import MemrollError, TerminalError
from memroll.inspection import remedies
from memroll.rendering import printable

if TYPE_CHECKING:
    from collections.abc import Callable

DONE = 0
"""Exit code of a command that is done, or that has nothing to do."""
FAILED = 1
"""Exit code of a command that failed."""
USAGE_ERROR = 2
"""Exit code for invalid arguments, and for a file of the user that is invalid."""
FOUND = 3
"""Exit code, with `--exit-code`, of a command that found something, or would act."""
NO_DATA = 4
"""Exit code of a command that has not enough data."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells report the signal SIGINT."""
CLOSED_PIPE = 141
"""Exit code after the reader of the output has ended, as shells report the signal SIGPIPE."""
DEBUG_VARIABLE = "MEMROLL_DEBUG"
"""Environment variable that has logs and tracebacks printed."""


class InvalidArgumentError(TerminalError):
    """Invalid argument, or invalid file of the user."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidArgument", message)


class NotEnoughDataError(TerminalError):
    """Command that can't give an answer because samples are missing."""

    def __init__(self, message: str) -> None:
        super().__init__("NotEnoughData", message)


def run_safely(program: str, main: Callable[[], Any]) -> int:
    """Run a program and return its exit code. No exception leaves it, except for a traceback that was requested."""
    _silence_libraries()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # not a text file
            stream.reconfigure(errors="replace")  # type: ignore[union-attr] # a locale may have no line drawing
    _running.clear()
    _reported.clear()
    try:
        code = main()
        sys.stdout.flush()  # a closed pipe must be found here, not when the interpreter ends
    except click.ClickException as error:
        return _fail(_name(program, error), _usage_message(program, error), USAGE_ERROR)
    except MemrollError as error:
        return _fail(_name(program), remedies.describe(error), exit_code(error))
    except (KeyboardInterrupt, click.Abort):
        return report_interrupt(program)
    except BrokenPipeError:
        _close_output()
        return CLOSED_PIPE
    except Exception as error:  # noqa: BLE001 - a bug: its traceback helps only those who requested it
        return _report_bug(program, error)
    return int(code or DONE)


def report_interrupt(program: str = "memroll") -> int:
    """Report Ctrl-C, once for each run, and return its exit code."""
    if _INTERRUPT not in _reported:
        _reported.add(_INTERRUPT)
        _fail(_name(program), "interrupted", INTERRUPTED)
    return INTERRUPTED


def exit_code(error: MemrollError) -> int:
    """Return the exit code of a command that an error ended."""
    if isinstance(error, NotEnoughDataError):
        return NO_DATA
    is_of_user = isinstance(error, InvalidArgumentError) or error.reason in remedies.OF_THE_USER
    return USAGE_ERROR if is_of_user else FAILED


def warn(message: str) -> None:
    """Print a line about a problem that does not end the command."""
    print(f"{_name('memroll')}: {printable(message)}", file=sys.stderr)


_INTERRUPT = "interrupt"
_reported: set[str] = set()
"""Ends of the running command that are reported already."""
_running: list[str] = []
"""Name of the running command, kept for errors that leave the context of click."""


def note_command(path: str) -> None:
    """Keep the name of the running command, such as `memroll report`, for messages."""
    _running[:] = [path]


def _name(program: str, error: click.ClickException | None = None) -> str:
    """Return the name of the running command; the program's before one runs."""
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else next(iter(_running), program)


def _usage_message(program: str, error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else program
    if isinstance(error, click.NoSuchOption) and ctx is not None and ctx.parent is None:
        return f"{message.rstrip('.')}: options follow the name of a command: {path} COMMAND {error.option_name} ..."
    separator = " " if message.endswith(("?", ")")) else ": "
    return f"{message.rstrip('.')}{separator}see '{path} --help'"


def _fail(name: str, message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody reads standard error
        print(f"{name}: {printable(message)}", file=sys.stderr, flush=True)
    return code


def _report_bug(program: str, error: Exception) -> int:
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _fail(_name(program), f"{where}{error.strerror or error}", FAILED)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    text = f"{type(error).__name__}: {error}"[: remedies.MAX_ERROR_CHARS]
    return _fail(_name(program), f"a bug of memroll: {text}: please report it with {DEBUG_VARIABLE}=1", FAILED)


def _silence_libraries() -> None:
    """Have log records printed only on request: without a handler, Python prints those of libraries."""
    if os.environ.get(DEBUG_VARIABLE):
        logs.configure("text", "DEBUG")
    elif not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


def _close_output() -> None:
    """Replace standard output, so that the interpreter does not flush what nobody reads."""
    with contextlib.suppress(OSError, ValueError):  # it is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
