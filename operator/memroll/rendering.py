"""Tables as text and as HTML, shared by all commands and reports. The HTML needs no other file.

A table that is not printed on a terminal is neither cut nor wrapped, and has no colours.
"""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from html import escape
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --quiet: #5b6673; --rule: #e3e8ee; --paper: #fff;
  --line: #3b6ea5; --limit: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe5ec; --quiet: #9aa7b4; --rule: #333d47; --paper: #14191f;
  --line: #7fb0e6; --limit: #f28b82; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 66em; padding: 0 1em; color: var(--ink);
  background: var(--paper); }
h2 { margin-top: 2em; } h3 { margin: 2em 0 .2em; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: .15em .8em .15em 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; } td { overflow-wrap: anywhere; } .quiet { color: var(--quiet); }
svg { max-width: 100%; height: auto; }
@media print { body { margin: 0; max-width: none; --ink: #000; --paper: #fff; } section { break-inside: avoid; } }
"""
"""CSS of a report page: light or dark as the reader's system, and printable."""


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


def format_html_table(rows: Sequence[Row]) -> str:
    """Return rows as an HTML table; the first row is the header."""
    head, *body = ("".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for tag, row in _with_tags(rows))
    lines = "".join(f"<tr>{cells}</tr>\n" for cells in body)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _with_tags(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    for n, row in enumerate(rows):
        yield ("td" if n else "th"), row
