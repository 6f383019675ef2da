"""Tables of figures: printed, and kept for the JSON output, by which two runs are compared."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")
TITLE_WIDTH = 56


@dataclass(slots=True)
class Tables(Generic[T]):
    """Figures by table and row."""

    figures: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    _table: str = ""
    _columns: Sequence[tuple[str, Callable[[Sequence[T]], float], str]] = ()
    _widths: tuple[int, ...] = ()

    def begin(self, title: str, columns: Sequence[tuple[str, Callable[[Sequence[T]], float], str]]) -> None:
        """Print the head of a table."""
        self._table, self._columns = title, columns
        self._widths = tuple(max(9, len(name) + 2) for name, _, _ in columns)
        self.figures[title] = {}
        print(f"\n{title}\n" + self._row("", [name for name, _, _ in columns]))

    def line(self, title: str, some: Sequence[T], note: str = "") -> None:
        """Print a row of the table: each column's figure over some containers, and their number or another note."""
        known = [figure(some) for _, figure, _ in self._columns]
        cells = ["-" if np.isnan(n) else format(n, form) for n, (_, _, form) in zip(known, self._columns, strict=True)]
        print(self._row(f"{title} {note or f'({len(some)})'}", cells), flush=True)
        named = {
            name: None if np.isnan(n) else round(float(n), 4)
            for (name, _, _), n in zip(self._columns, known, strict=True)
        }
        self.figures[self._table][title.strip()] = {"containers": len(some), **named}

    def _row(self, title: str, cells: Sequence[str]) -> str:
        return f"{title:<{TITLE_WIDTH}}" + "".join(f"{c:>{w}}" for c, w in zip(cells, self._widths, strict=True))


def write_json(path: Path, about: Mapping[str, object], *tables: Tables[Any]) -> None:
    figures = {title: rows for t in tables for title, rows in t.figures.items()}
    path.write_text(json.dumps({**about, "tables": figures}, indent=1) + "\n", encoding="utf-8")
