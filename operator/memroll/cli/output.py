"""Output of a command: text with tables on a console, or one document of JSON or YAML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import yaml

from memroll.rendering import Marked, Severity, build_table, console, format_text_table, min_table_width, styled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memroll.rendering import Row

PLAIN_FORMATS = ("table", "wide", "json", "yaml")
"""Formats of commands that show one thing."""
LIST_FORMATS = (*PLAIN_FORMATS, "name")
"""Formats of commands that list objects."""


def write_document(value: object, output: str) -> None:
    """Write one document as JSON or YAML."""
    if output == "yaml":
        click.echo(yaml.safe_dump(value, sort_keys=False, width=120), nl=False)
    else:
        click.echo(json.dumps(value, indent=1, allow_nan=False))


def write_names(names: Iterable[str]) -> None:
    """Write the names of objects, such as `memorypolicy.memroll.dev/chat`, one a line."""
    for name in names:
        click.echo(name)


def write_text(*parts: str | Sequence[Row]) -> None:
    """Write lines and tables; a table is a sequence of rows, the first of which is the header."""
    shown = console()
    for part in parts:
        if isinstance(part, str):
            shown.print(styled(part), soft_wrap=True)
        elif len(part) > 1:
            _write_table(part)


def _write_table(rows: Sequence[Row]) -> None:
    """Write a table. On a terminal that is too narrow for it, lines are wrapped as those of kubectl: nothing is cut."""
    shown = console()
    if not shown.is_terminal:
        shown.print(format_text_table(rows), soft_wrap=True)
        return
    shown.width = max(shown.width, min_table_width(rows))
    shown.print(build_table(rows))


def without_empty(value: dict[str, Any]) -> dict[str, Any]:
    """Return a document without the fields that have no value."""
    return {key: field for key, field in value.items() if field not in (None, "", (), [], {})}


VERDICT_SEVERITIES = {
    "Healthy": Severity.GOOD,
    "Suspected": Severity.NOTICE,
    "Leaking": Severity.WARNING,
    "Exhausting": Severity.BAD,
    "Inconclusive": Severity.QUIET,
}
"""Colour of each verdict."""


def verdict_cell(verdict: str) -> str:
    """Return a verdict with its colour."""
    return Marked(verdict, VERDICT_SEVERITIES.get(verdict, Severity.NOTICE))
