"""A folder of traces: MANIFEST.csv and one CSV file per container. Strict: what can't be read is said, not skipped."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest.trace import Trace
from memroll.detection.container_history import Subject
from memroll.detection.series import EMPTY, Series
from memroll.errors import Stalled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MANIFEST = "MANIFEST.csv"
TIME, BYTES, WORKING_SET, LOAD = "t_s", "bytes", "working_set_bytes", "load"
AT_LIMIT_SHARE = 0.99
"""A trace that ends at this share of its limit or above was ended by the kernel."""

Columns = dict[str, list[str]]
"""The cells of a file by the names in its first line."""


def read(folder: Path) -> tuple[Trace, ...]:
    """Return the traces in the manifest's order."""
    manifest = folder / MANIFEST
    columns = _columns(manifest, {"name", "limit_bytes"})
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if not rows:
        raise _invalid(f"{manifest}: no traces: write one line for each container")
    names: set[str] = set()
    for line, row in enumerate(rows, 2):
        _check_name(manifest, line, row["name"], names)
    return tuple(_trace(manifest, line, row) for line, row in enumerate(rows, 2))


def _invalid(text: str) -> Stalled:
    return Stalled("TraceInvalid", text)


def _check_name(manifest: Path, line: int, name: str, known: set[str]) -> None:
    if not name or "/" in name or "\\" in name or name in {".", ".."}:
        raise _bad_cell(manifest, line, "name", name, "the name of a file in this folder, without .csv")
    if name in known:
        raise _bad_cell(manifest, line, "name", name, "a name that no other line has")
    known.add(name)


def _bad_cell(path: Path, line: int, field: str, value: str, allowed: str) -> Stalled:
    return _invalid(f"{path}: line {line}, {field}: {value!r} must be {allowed}")


def _columns(path: Path, needed: set[str]) -> Columns:
    """Read a CSV file. Blank lines are refused: they would shift the lines that errors name."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except OSError as error:
        raise _invalid(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _invalid(f"{path}: not CSV in UTF-8: {error}") from error
    header = [name.strip() for name in lines[0]] if lines else []
    missing = sorted(needed - set(header))
    if missing or len(set(header)) != len(header):
        what = f"no column {missing[0]!r}" if missing else "two columns of one name"
        raise _invalid(f"{path}: line 1: {what}; there are: {', '.join(header) or 'none'}")
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(header):
            raise _invalid(f"{path}: line {number}: {len(cells)} cells, must be {len(header)} as in line 1")
    cells_by_column = list(map(list, zip(*lines[1:], strict=True))) or [[] for _ in header]
    return dict(zip(header, cells_by_column, strict=True))


def _trace(manifest: Path, line: int, row: Mapping[str, str]) -> Trace:
    limit = _number(manifest, line, row, "limit_bytes", "a number of bytes above 0, or empty: no limit")
    if limit is not None and limit < 1:
        raise _bad_cell(manifest, line, "limit_bytes", row["limit_bytes"], "above 0, or empty: no limit")
    limit_bytes = None if limit is None else int(limit)
    subject = read_subject(manifest.parent / f"{row['name']}.csv", limit_bytes)
    at_limit = limit_bytes is not None and subject.working_set.values[-1] >= AT_LIMIT_SHARE * limit_bytes
    return Trace(
        name=row["name"],
        subject=subject,
        workload=row.get("workload", ""),
        label=row.get("label", ""),
        onset_s=_number(manifest, line, row, "onset_s", "a number of seconds on the clock of t_s, or empty"),
        oom_s=subject.rss.last_s if at_limit else None,
    )


def _number(path: Path, line: int, row: Mapping[str, str], field: str, allowed: str) -> float | None:
    text = row.get(field, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise _bad_cell(path, line, field, text, allowed)
    return number


def read_subject(path: Path, limit_bytes: int | None) -> Subject:
    """Read the samples of one container. It starts at its first one."""
    columns = _columns(path, {TIME, BYTES})
    times = _numbers(columns, TIME)
    if not times.size:
        raise _invalid(f"{path}: no samples: write one line for each, under the line {TIME},{BYTES}")
    _check_times(path, columns, times)
    series = {name: _series(path, columns, name, times) for name in (BYTES, WORKING_SET, LOAD)}
    rss = series[BYTES]
    working_set = series[WORKING_SET] if len(series[WORKING_SET]) else rss
    return Subject(rss, working_set, float(times[0]), limit_bytes, series[LOAD])


def _check_times(path: Path, columns: Columns, times: NDArray[np.float64]) -> None:
    behind = np.flatnonzero(~np.isfinite(times) | np.append(False, np.diff(times) <= 0))
    if behind.size:
        n = int(behind[0])
        raise _bad_cell(path, n + 2, TIME, columns[TIME][n], "a number of seconds, above the one of the line before")


def _series(path: Path, columns: Columns, name: str, times: NDArray[np.float64]) -> Series:
    """Return a column with its times; an empty cell is no sample, but for those of `bytes`."""
    if name not in columns:
        return EMPTY
    values = _numbers(columns, name)
    empty = np.array([not cell.strip() for cell in columns[name]]) if name != BYTES else np.zeros(times.size, np.bool_)
    wrong = np.flatnonzero(~empty & ~(np.isfinite(values) & (values >= 0)))
    if wrong.size:
        n = int(wrong[0])
        allowed = "a number of at least 0" if name == BYTES else "a number of at least 0, or empty: no sample"
        raise _bad_cell(path, n + 2, name, columns[name][n], allowed)
    return Series(times[~empty], values[~empty])


def _numbers(columns: Columns, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where a cell holds none."""
    cells = columns[name]
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return np.fromiter(_each(cells), np.float64, len(cells))


def _each(cells: list[str]) -> Iterator[float]:
    for cell in cells:
        try:
            yield float(cell)
        except ValueError:
            yield math.nan
