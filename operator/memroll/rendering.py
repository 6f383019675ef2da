"""Tables as text, shared by all commands and reports.

A table that is not printed on a terminal is neither cut nor wrapped, and has no colours.
"""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Row = tuple[str, ...]


class Severity(StrEnum):
    """Severity of a cell or a line, which has a colour on a terminal."""

    GOOD = "green"
    NOTICE = "cyan"
    WARNING = "yellow"
    BAD = "bold red"
    QUIET = "dim"


class Marked(str):
    """Text with a severity, wherever a text may be."""

    __slots__ = ("severity",)

    severity: Severity

    def __new__(cls, text: str, severity: Severity) -> Self:
        marked = super().__new__(cls, text)
        marked.severity = severity
        return marked


UNLIMITED_WIDTH = 100_000
"""Width in characters of output that is not on a terminal: wider than any table."""
MIN_LAST_COLUMN = 20
"""Minimum width in characters of a last column that is wrapped; chosen by hand."""
COLUMN_GAP = 2
"""Number of spaces between two columns, as in the tables of kubectl."""

EMPTY_CELL = "-"
"""Content of an empty cell."""


def printable(text: str) -> str:
    """Return a text in one line without control characters, which could change what a terminal shows."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def console(file: IO[str] | None = None, *, is_error: bool = False) -> Console:
    """Return the console for a file, standard output or standard error; without colours unless that is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - the operator draws no tables

    class PipedConsole(Console):
        """Console that leaves the end of a pipe to its caller, which has the exit code for it."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = file or (sys.stderr if is_error else sys.stdout)
    is_terminal = stream.isatty()  # rich would take FORCE_COLOR for a terminal, and cut the tables in a file
    made = PipedConsole(
        file=file, stderr=is_error, highlight=False, markup=False, emoji=False, force_terminal=is_terminal
    )
    if not made.is_terminal:
        made.width = UNLIMITED_WIDTH
    return made


def format_text_table(rows: Sequence[Row]) -> str:
    """Return rows as text, with columns two spaces apart; the first row is the header."""
    text = io.StringIO()
    plain = console(text)
    plain.print(build_table(rows))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def build_table(rows: Sequence[Row]) -> Table:
    """Build a table for a console. On a narrow terminal its last column wraps, and no other one."""
    from rich.table import Table  # noqa: PLC0415 - the operator draws no tables

    table = Table(box=None, pad_edge=False, padding=(0, COLUMN_GAP, 0, 0), show_edge=False, header_style="bold")
    width = max(map(len, rows))
    header, *body = (row + ("",) * (width - len(row)) for row in rows)
    for number, name in enumerate(header):
        table.add_column(styled(name), no_wrap=number < width - 1, overflow="fold")
    for row in body:
        table.add_row(*map(styled, row))
    return table


def min_table_width(rows: Sequence[Row]) -> int:
    """Return the width at which no column but the last one must be wrapped, and that one keeps its minimum."""
    *fixed, last = (max(map(len, column)) for column in zip_longest(*rows, fillvalue=""))
    return sum(fixed) + COLUMN_GAP * len(fixed) + min(last, MIN_LAST_COLUMN)


def styled(text: str) -> Text:
    """Return a printable text with the colour of its severity, if it has one."""
    from rich.text import Text  # noqa: PLC0415 - the operator draws no tables

    return Text(printable(text), style=text.severity.value if isinstance(text, Marked) else "")
