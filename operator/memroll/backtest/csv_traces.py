"""Read a folder of traces: MANIFEST.csv and one CSV file per container.

Called by `memroll backtest --traces` and `make bench-detect`. Strict: an invalid line is an error that names it, and is
never skipped, because a backtest over some of the data could be mistaken for one over all of it. Times may be ISO 8601,
memory may be quantities.
"""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, TextIO

import numpy as np

from memroll.backtest.cells import MIN_MILLISECONDS, parse_memory_bytes, parse_time_s
from memroll.backtest.trace import Trace
from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import EMPTY, Series
from memroll.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MANIFEST = "MANIFEST.csv"
TIME, BYTES, WORKING_SET, LOAD = "t_s", "bytes", "working_set_bytes", "load"
CACHE, SWAP = "cache_bytes", "swap_bytes"
INTERVAL_COLUMNS = ("interval_s", "sampling_s")
"""Names of the manifest's column with the scrape interval; both mean the same."""
MAX_CACHE_EXCESS_BYTES = 8 * 2**20
"""Maximum excess of the active page cache over the working set that contains it, which counts as equal to it.

The kernel counts the two separately, and the second in batches of 32 pages for each CPU: 8 MiB with 64 CPUs.
"""
OOM_MIN_USAGE_RATIO = 0.99
"""Minimum ratio of the last sample to the limit at which a trace counts as ended by an OOM kill; chosen by hand."""

Columns = dict[str, list[str]]
"""Cells of a CSV file, by column name."""


def read(folder: Path) -> tuple[Trace, ...]:
    """Return the traces in the manifest's order."""
    manifest = folder / MANIFEST
    if not folder.is_dir():
        raise _invalid(f"{folder}: no such file or folder")
    if not manifest.exists():
        raise _invalid(f"{folder}: has neither {MANIFEST} nor a file of Prometheus (.json) or Grafana (.csv)")
    columns = _columns(manifest, {"name", "limit_bytes"})
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    if not rows:
        raise _invalid(f"{manifest}: no traces: write one line for each container")
    names: set[str] = set()
    for line, row in enumerate(rows, 2):
        _check_name(manifest, line, row["name"], names)
    return tuple(_trace(manifest, line, row) for line, row in enumerate(rows, 2))


def _invalid(text: str) -> TerminalError:
    return TerminalError("TraceInvalid", text)


def _check_name(manifest: Path, line: int, name: str, known: set[str]) -> None:
    if not name or name.endswith(".csv") or "/" in name or "\\" in name or name in {".", ".."}:
        raise _invalid_cell(manifest, line, "name", name, "the name of a file in this folder, without .csv")
    if name in known:
        raise _invalid_cell(manifest, line, "name", name, "a name that no other line has")
    known.add(name)


def _invalid_cell(path: Path, line: int, field: str, value: str, allowed: str) -> TerminalError:
    return _invalid(f"{path}: line {line}, {field}: {value!r} must be {allowed}")


def _columns(path: Path, needed: set[str]) -> Columns:
    """Read a CSV file. Blank lines before the last one are rejected: they would shift the numbers in messages."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True, delimiter=_delimiter(file)))
    except OSError as error:
        raise _invalid(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _invalid(f"{path}: not CSV in UTF-8: {error}") from error
    while lines and not any(lines[-1]):
        lines.pop()
    header = [name.strip() for name in lines[0]] if lines else []
    missing = sorted(needed - set(header))
    if missing or len(set(header)) != len(header):
        defect = f"no column {' and no '.join(map(repr, missing))}" if missing else "two columns of one name"
        raise _invalid(f"{path}: line 1: {defect}; there are: {', '.join(header) or 'none'}")
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(header):
            raise _invalid(f"{path}: line {number}: {len(cells)} cells, must be {len(header)} as in line 1")
    cells_by_column = list(map(list, zip(*lines[1:], strict=True))) or [[] for _ in header]
    return dict(zip(header, cells_by_column, strict=True))


def _trace(manifest: Path, line: int, row: Mapping[str, str]) -> Trace:
    allowed = "a number of bytes above 0 or a quantity such as 512Mi, or empty: no limit"
    limit = _number(manifest, line, row, "limit_bytes", allowed)
    if limit is not None and limit < 1:
        raise _invalid_cell(manifest, line, "limit_bytes", row["limit_bytes"], "above 0, or empty: no limit")
    limit_bytes = None if limit is None else int(limit)
    history = read_subject(manifest.parent / f"{row['name']}.csv", limit_bytes)
    at_limit = limit_bytes is not None and history.working_set.values[-1] >= OOM_MIN_USAGE_RATIO * limit_bytes
    return Trace(
        name=row["name"],
        history=history,
        workload=row.get("workload", ""),
        label=row.get("label", ""),
        onset_s=_number(manifest, line, row, "onset_s", "a number of seconds on the clock of t_s, or empty"),
        oom_s=history.rss.last_s if at_limit else None,
        interval_s=_interval_s(manifest, line, row),
    )


def _interval_s(manifest: Path, line: int, row: Mapping[str, str]) -> float | None:
    """Return the scrape interval, by whichever of its names the manifest has it."""
    allowed = "a number of seconds above 0, or empty"
    found = {name: _number(manifest, line, row, name, allowed) for name in INTERVAL_COLUMNS}
    given = {name: seconds for name, seconds in found.items() if seconds is not None}
    for name, seconds in given.items():
        if seconds <= 0:
            raise _invalid_cell(manifest, line, name, row[name], allowed)
    if len(set(given.values())) > 1:
        first, second = INTERVAL_COLUMNS
        allowed = f"{row[first].strip()} as in {first}, which means the same"
        raise _invalid_cell(manifest, line, second, row[second].strip(), allowed)
    return next(iter(given.values()), None)


def _number(path: Path, line: int, row: Mapping[str, str], field: str, allowed: str) -> float | None:
    text = row.get(field, "").strip()
    if not text:
        return None
    number = parse_memory_bytes(text) if field == "limit_bytes" else _parse_number(text)
    if not math.isfinite(number):
        raise _invalid_cell(path, line, field, text, allowed)
    return number


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_subject(path: Path, limit_bytes: int | None) -> ContainerHistory:
    """Read the samples of one container. The first sample counts as the container's start."""
    columns = _columns(path, {TIME, BYTES})
    times = _numbers(columns, TIME)
    if not times.size:
        raise _invalid(f"{path}: no samples: write one line for each, under the line {TIME},{BYTES}")
    _check_times(path, columns, times)
    series = {name: _series(path, columns, name, times) for name in (BYTES, WORKING_SET, LOAD, CACHE, SWAP)}
    rss = series[BYTES]
    working_set = series[WORKING_SET] if len(series[WORKING_SET]) else rss
    return ContainerHistory(
        rss,
        working_set,
        float(times[0]),
        limit_bytes,
        series[LOAD],
        active_file=_within_working_set(path, columns, series),
        swap=series[SWAP],
    )


def _within_working_set(path: Path, columns: Columns, series: Mapping[str, Series]) -> Series:
    """Return the active page cache, at most the working set of the same line, of which it is a part."""
    cache, times = series[CACHE], series[BYTES].times_s
    if not len(cache):
        return cache
    if not len(series[WORKING_SET]):
        raise _invalid(f"{path}: line 1: {CACHE} is a part of {WORKING_SET}, and there is none")
    working_set = _numbers(columns, WORKING_SET)[np.searchsorted(times, cache.times_s)]
    excess = np.flatnonzero(cache.values > working_set + MAX_CACHE_EXCESS_BYTES)  # none where a cell is empty
    if excess.size:
        n = int(np.searchsorted(times, cache.times_s[excess[0]]))
        limit = columns[WORKING_SET][n].strip()
        allowed = f"at most {limit}, the {WORKING_SET}, of which the active file cache is a part"
        raise _invalid_cell(path, n + 2, CACHE, columns[CACHE][n], allowed)
    return Series(cache.times_s, np.fmin(cache.values, working_set))


def _check_times(path: Path, columns: Columns, times: NDArray[np.float64]) -> None:
    check_seconds(path, times)
    invalid = np.flatnonzero(~np.isfinite(times) | np.append(False, np.diff(times) <= 0))
    if invalid.size:
        n = int(invalid[0])
        allowed = "a number of seconds or a time such as 2026-03-01T12:00:00Z, above the one of the line before"
        raise _invalid_cell(path, n + 2, TIME, columns[TIME][n], allowed)


def check_seconds(path: Path, times: NDArray[np.float64]) -> None:
    """Raise an error for times in milliseconds: minutes would become days."""
    if times.size and float(np.nanmax(times, initial=0.0)) >= MIN_MILLISECONDS:
        raise _invalid(f"{path}: the times are milliseconds, must be seconds: divide them by 1000")


def _series(path: Path, columns: Columns, name: str, times: NDArray[np.float64]) -> Series:
    """Return a column as a series. An empty cell is no sample, except in column `bytes`, where it is an error."""
    if name not in columns:
        return EMPTY
    values = _numbers(columns, name)
    empty = np.array([not cell.strip() for cell in columns[name]]) if name != BYTES else np.zeros(times.size, np.bool_)
    invalid = np.flatnonzero(~empty & ~(np.isfinite(values) & (values >= 0)))
    if invalid.size:
        n = int(invalid[0])
        allowed = "a number of at least 0" if name == BYTES else "a number of at least 0, or empty: no sample"
        raise _invalid_cell(path, n + 2, name, columns[name][n], allowed)
    return Series(times[~empty], values[~empty])


def _numbers(columns: Columns, name: str) -> NDArray[np.float64]:
    """Return a column as numbers; NaN for a cell that is not a number."""
    cells = columns[name]
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        parse = PARSERS.get(name, parse_memory_bytes)
        return np.fromiter(map(parse, cells), np.float64, len(cells))


PARSERS: Mapping[str, Callable[[str], float]] = {TIME: parse_time_s, LOAD: _parse_number}
"""Parser of the cells of each column that is not memory; NaN for a cell that is invalid."""


def _delimiter(file: TextIO) -> str:
    """Return the delimiter of the first line, which is read again afterwards: spreadsheets also use semicolons."""
    first = file.readline()
    file.seek(0)
    return ";" if ";" in first and "," not in first else ","
