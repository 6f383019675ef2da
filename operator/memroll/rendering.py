"""Tables as text for a terminal and as HTML, shared by all reports. The HTML needs no other file."""

from __future__ import annotations

from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Row = tuple[str, ...]

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


def format_text_table(rows: Sequence[Row]) -> str:
    """Return rows as text, with columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def format_html_table(rows: Sequence[Row]) -> str:
    """Return rows as an HTML table; the first row is the header."""
    head, *body = ("".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for tag, row in _with_tags(rows))
    lines = "".join(f"<tr>{cells}</tr>\n" for cells in body)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _with_tags(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    for n, row in enumerate(rows):
        yield ("td" if n else "th"), row
