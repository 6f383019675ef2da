"""Samples that queries touched, from the query log of Prometheus: a count that is not memroll's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def count(lines: Iterable[str]) -> tuple[int, int]:
    """Return the number of queries and the sum of their `totalQueryableSamples`."""
    queries = samples = 0
    for line in lines:
        if line.strip():
            stats = json.loads(line).get("stats", {})
            queries += 1
            samples += int(stats.get("samples", {}).get("totalQueryableSamples", 0))
    return queries, samples


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def count_between(path: Path, begin: int, end: int) -> tuple[int, int]:
    """Count the complete lines between two offsets of the log."""
    with path.open("rb") as stream:
        stream.seek(begin)
        text = stream.read(end - begin).decode()
    lines = text.split("\n")
    return count(lines if text.endswith("\n") else lines[:-1])
