"""Read traces that other tools export: responses of Prometheus' `query_range` (JSON), and CSV files of Grafana.

Called by `memroll backtest --traces` for a file, or for a folder of files without a manifest. A trace is a container,
whose RSS and working set are joined. A series without the name of a metric is the container's memory.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memroll.backtest.cells import MIN_MILLISECONDS, is_missing, parse_memory_bytes, parse_time_s
from memroll.backtest.csv_traces import OOM_MIN_USAGE_RATIO, check_seconds
from memroll.backtest.trace import Trace
from memroll.clients.prometheus import promql
from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import EMPTY, Series
from memroll.errors import TerminalError
from memroll.model.pod_names import workload_from_pod_name
from memroll.model.pods import UNLIMITED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TIME_COLUMN, VALUE_COLUMN = "Time", "Value"
"""Columns of an export with a row for each sample."""
TITLE_COLUMNS = frozenset({"series", "metric", "name"})
"""Names of the only other column, if it has the titles of the series instead of a label, in lower case."""
LIMIT_METRICS = ("container_spec_memory_limit_bytes", "kube_pod_container_resource_limits")
"""Metrics of memory limits; the last one counts."""
MEMORY = "memory"
"""Name of a series without the name of a metric."""
METRICS = (promql.RSS, promql.WORKING_SET, MEMORY, *LIMIT_METRICS)
_LABELS = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_NAME = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{(.*)\}")

Identity = tuple[str, str, str]
"""Pod, container and ID of a container; for a series without these labels its name."""


@dataclass(frozen=True, slots=True)
class ExportedSeries:
    """Series of a file."""

    metric: str
    labels: Mapping[str, str]
    series: Series

    @property
    def identity(self) -> Identity:
        labels = self.labels
        container_id = labels.get("name", "") or labels.get("id", "").rpartition("/")[2]
        return labels.get("pod", ""), labels.get("container", ""), container_id


def can_read(path: Path) -> bool:
    """Return whether a path is an exported file, or a folder of such files without a manifest."""
    if not path.is_dir():
        return path.exists()
    return not (path / "MANIFEST.csv").exists() and bool(_files(path))


def read(path: Path, default_limit_bytes: int | None) -> tuple[Trace, ...]:
    """Return a trace for each container, sorted by name. The default limit is that of containers without one."""
    found = [series for file in _files(path) for series in _read_file(file)]
    limits = {s.identity[:2]: float(s.series.values[-1]) for m in LIMIT_METRICS for s in found if s.metric == m}
    grouped: dict[Identity, dict[str, Series]] = defaultdict(dict)
    for exported in found:
        if exported.metric in (promql.RSS, promql.WORKING_SET, MEMORY):
            if exported.metric in grouped[exported.identity]:
                twice = f"two series {exported.metric} of {_name(exported.identity)}"
                raise _invalid(f"{path}: {twice}: select one cluster")
            grouped[exported.identity][exported.metric] = exported.series
    if not grouped:
        raise _invalid(f"{path}: no series of memory: export {promql.RSS} and {promql.WORKING_SET}")
    traces = (_trace(key, kinds, limits.get(key[:2]), default_limit_bytes) for key, kinds in grouped.items())
    return tuple(sorted(traces, key=lambda t: (t.name, t.start_s)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix.lower() in (".json", ".csv"))


def _invalid(text: str) -> TerminalError:
    return TerminalError("TraceInvalid", text)


def _trace(key: Identity, kinds: Mapping[str, Series], limit: float | None, default_limit: int | None) -> Trace:
    memory = kinds.get(MEMORY, EMPTY)
    rss = kinds.get(promql.RSS, memory)
    working_set = kinds.get(promql.WORKING_SET, rss)
    limit_bytes = int(limit) if limit is not None and 0 < limit < UNLIMITED_BYTES else default_limit
    start_s = min(series.first_s for series in (rss, working_set) if len(series))
    history = ContainerHistory(rss, working_set, start_s, limit_bytes)
    at_limit = limit_bytes is not None and working_set.values[-1] >= OOM_MIN_USAGE_RATIO * limit_bytes
    workload = workload_from_pod_name(key[0]) if key[0] else ""
    return Trace(_name(key), history, workload, oom_s=working_set.last_s if at_limit else None)


def _name(key: Identity) -> str:
    pod, container, container_id = key
    return "/".join(part for part in (pod, container) if part) or container_id or MEMORY


def _read_file(file: Path) -> Iterator[ExportedSeries]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _invalid(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _invalid(f"{file}: not UTF-8") from error
    yield from _read_json(file, text) if file.suffix.lower() == ".json" else _read_grafana(file, text)


def _read_json(file: Path, text: str) -> Iterator[ExportedSeries]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"{file}: not JSON") from error
    data = content.get("data", content) if isinstance(content, dict) else None
    if isinstance(content, dict) and content.get("status") == "error":
        raise _invalid(f"{file}: the response of Prometheus is an error: {str(content.get('error'))[:200]}")
    result = data.get("result") if isinstance(data, dict) else None
    if not isinstance(result, list) or not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise _invalid(f"{file}: must be a response of query_range: an object with data.resultType matrix")
    for number, raw in enumerate(result, 1):
        labels, values = (raw.get("metric"), raw.get("values")) if isinstance(raw, dict) else (None, None)
        if not isinstance(labels, dict) or not isinstance(values, list) or not values:
            raise _invalid(f"{file}: series {number}: must have metric and values")
        named = {str(k): str(v) for k, v in labels.items()}
        if named.get("resource", "memory") == "memory":
            yield _exported(file, named, [_pair(file, number, value) for value in values])


def _pair(file: Path, number: int, value: object) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 - time and value
        try:
            return float(value[0]), float(value[1])
        except (TypeError, ValueError):
            pass
    raise _invalid(f"{file}: series {number}: {str(value)[:64]} must be a time and a number")


def _exported(file: Path, labels: Mapping[str, str], pairs: list[tuple[float, float]]) -> ExportedSeries:
    """Return a series in order of time, without the samples that are no numbers."""
    times, values = np.array(pairs, dtype=np.float64).T
    check_seconds(file, times)
    if np.any(np.diff(times) <= 0):
        raise _invalid(f"{file}: the times of a series must increase")
    known = np.isfinite(values) & (values >= 0)
    metric = labels.get("__name__", MEMORY)
    if metric not in METRICS:
        raise _invalid(f"{file}: {metric} is not a metric of memory: export {promql.RSS} and {promql.WORKING_SET}")
    if not known.any():
        raise _invalid(f"{file}: a series of {metric} has no sample that is a number of bytes")
    return ExportedSeries(metric, labels, Series(times[known], values[known]))


def _read_grafana(file: Path, text: str) -> Iterator[ExportedSeries]:
    """Read Grafana's CSV: a column of times, and one for each series; or a row for each sample with its labels."""
    lines = text.splitlines()
    if lines and lines[0].startswith("sep="):
        lines.pop(0)
    first = lines[0] if lines else ""
    rows = [row for row in csv.reader(lines, delimiter=";" if ";" in first and "," not in first else ",") if any(row)]
    if len(rows) < 2 or len(rows[0]) < 2:  # noqa: PLR2004 - a header and a line, a time and a value
        raise _invalid(f"{file}: must have a column of times and a column for each series, as Grafana exports it")
    header, *body = rows
    names = [name.strip() for name in header]
    if {TIME_COLUMN, VALUE_COLUMN} < set(names):
        yield from _read_rows(file, names, body)
        return
    times = [_time_s(file, number, row[0]) for number, row in enumerate(body, 2)]
    for column, title in enumerate(header[1:], 1):
        cells = [row[column] if column < len(row) else "" for row in body]
        numbered = enumerate(zip(times, cells, strict=True), 2)
        known = [(number, at_s, cell) for number, (at_s, cell) in numbered if not is_missing(cell)]
        pairs = [(at_s, _value(file, number, title, cell)) for number, at_s, cell in known]
        if not pairs:
            raise _invalid(f"{file}: the column {title!r} has no sample: leave it out")
        yield _exported(file, labels_of(title), pairs)


def _read_rows(file: Path, names: list[str], body: list[list[str]]) -> Iterator[ExportedSeries]:
    """Read rows with a time, a value, and the labels of the series; or its title, in one column."""
    columns = [(n, name) for n, name in enumerate(names) if name not in (TIME_COLUMN, VALUE_COLUMN)]
    at, of_value = names.index(TIME_COLUMN), names.index(VALUE_COLUMN)
    grouped: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for line, row in enumerate(body, 2):
        if len(row) != len(names):
            raise _invalid(f"{file}: line {line}: {len(row)} cells, must be {len(names)} as in line 1")
        if not is_missing(row[of_value]):
            pair = _time_s(file, line, row[at]), _value(file, line, VALUE_COLUMN, row[of_value])
            grouped[tuple(row[n] for n, _ in columns)].append(pair)
    for cells, pairs in grouped.items():
        named = {name: cell for (_, name), cell in zip(columns, cells, strict=True) if cell}
        is_title = len(columns) == 1 and columns[0][1].lower() in TITLE_COLUMNS
        yield _exported(file, labels_of(cells[0]) if is_title else named, sorted(pairs))


def _time_s(file: Path, line: int, cell: str) -> float:
    found = parse_time_s(cell)
    if not math.isfinite(found):
        raise _invalid(f"{file}: line {line}: {cell!r} must be a time, such as 2026-03-01T12:00:00Z")
    return found / 1000 if found >= MIN_MILLISECONDS else found


def _value(file: Path, line: int, title: str, cell: str) -> float:
    found = parse_memory_bytes(cell)
    if not math.isfinite(found):
        raise _invalid(f"{file}: line {line}, {title}: {cell!r} must be a number of bytes, or one such as 512 MiB")
    return found


def labels_of(title: str) -> dict[str, str]:
    """Return the labels in a column's title, such as `{container="app", pod="web-1"}`; of any other title its name."""
    match = _NAME.fullmatch(title.strip())
    if match is None:
        return {"name": title.strip()}
    labels = {k: v.replace('\\"', '"').replace("\\\\", "\\") for k, v in _LABELS.findall(match[2])}
    return labels | ({"__name__": match[1]} if match[1] else {})
