"""Cells of files with samples: times as numbers or ISO 8601, memory as numbers, quantities or Grafana's values."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memroll.api.quantity import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_MILLISECONDS = 1e11
"""Minimum number that is a time in milliseconds: as seconds, it would be after the year 5138."""
MISSING = frozenset({"", "null", "nan", "undefined", "-"})
"""Cells without a value, in lower case."""
UNITS = {
    "b": 1, "bytes": 1, "byte": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
"""Bytes by the unit of a value as Grafana shows it, in lower case."""
_WITH_UNIT = re.compile(r"([0-9][0-9.]*)\s*([A-Za-z]+)")


def parse_time_s(text: str) -> float:
    """Return a time in seconds since the epoch; NaN for a text that is none. Without a zone it is UTC."""
    return _first(text.strip(), float, _iso_time_s)


def parse_memory_bytes(text: str) -> float:
    """Return a number of bytes from a number, a quantity such as 512Mi, or a value such as 512 MiB; else NaN."""
    return _first(text.strip(), float, parse_bytes, _bytes_with_unit)


def _first(text: str, *parsers: Callable[[str], float]) -> float:
    """Return what the first parser returns that does not raise ValueError; NaN if all do."""
    for parse in parsers:
        with suppress(ValueError):
            return float(parse(text))
    return math.nan


def _iso_time_s(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _bytes_with_unit(text: str) -> float:
    found = _WITH_UNIT.fullmatch(text)
    factor = UNITS.get(found[2].lower()) if found else None
    return float(found[1]) * factor if found and factor else math.nan


def is_missing(text: str) -> bool:
    """Return whether a cell has no value."""
    return text.strip().lower() in MISSING
