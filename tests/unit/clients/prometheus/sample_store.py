"""Prometheus that evaluates the client's queries over samples in memory, and counts the samples that it touches."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.clients.prometheus.timeout import Timeout

Labels = tuple[tuple[str, str], ...]
Vector = dict[Labels, tuple[float, float]]
"""Time of the sample and value, by labels."""

LOOKBACK_S = 300.0
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_SUBQUERY = re.compile(r"(.+)\[(\d+m?s):(\d+m?s)\]", re.DOTALL)
_SELECTOR = r"(\w+)\{(.*)\}"
_RANGE = re.compile(rf"{_SELECTOR}\[(\d+m?s)\](?: offset (\d+m?s))?", re.DOTALL)
_INSTANT = re.compile(rf"{_SELECTOR}(?: offset (\d+m?s))?", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.+)\)", re.DOTALL)
_SUM = re.compile(r"sum by \(namespace, pod\) \((.+)\)", re.DOTALL)


@dataclass
class StoredSeries:
    """Samples of one series; a sample is visible from its arrival on."""

    metric: str
    labels: dict[str, str]
    times: np.ndarray[Any, np.dtype[np.float64]]
    values: np.ndarray[Any, np.dtype[np.float64]]
    arrivals: np.ndarray[Any, np.dtype[np.float64]] | None = None

    def visible(self, now_s: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        if self.arrivals is None:
            return self.times, self.values
        known = self.arrivals <= now_s
        return self.times[known], self.values[known]


@dataclass
class SampleStore:
    """Server with these series. `now_s`: what arrived later is not visible."""

    series: list[StoredSeries] = field(default_factory=list)
    now_s: float = np.inf
    touched: int = 0
    response_bytes: int = 0
    queries: list[str] = field(default_factory=list)

    def query(self, text: str, at_s: float | None, _timeout: Timeout) -> str:
        """Return the response, as `PrometheusSession.query` does."""
        assert at_s is not None
        self.queries.append(text)
        kind, result = self._evaluate(text, at_s)
        answer = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})
        self.response_bytes += len(answer)
        return answer

    def _evaluate(self, text: str, at_s: float) -> tuple[str, list[dict[str, Any]]]:
        if (found := _SUBQUERY.fullmatch(text)) is not None:
            return "matrix", self._subquery(found[1], at_s, _seconds(found[2]), _seconds(found[3]))
        if (found := _RANGE.fullmatch(text)) is not None:
            rows = self._windows(found, at_s)
            return "matrix", [_row(labels, t, v) for labels, t, v in rows if t.size]
        vector = self._instant(text, at_s)
        return "vector", [{"metric": dict(labels), "value": [at_s, repr(v)]} for labels, (_, v) in vector.items()]

    def _subquery(self, text: str, at_s: float, window_s: float, step_s: float) -> list[dict[str, Any]]:
        points: dict[Labels, list[tuple[float, float]]] = {}
        for t in np.arange(at_s - window_s + step_s, at_s + step_s / 2, step_s):
            for labels, (_, value) in self._instant(text, float(t)).items():
                points.setdefault(labels, []).append((float(t), value))
        return [_row(labels, *map(np.array, zip(*found, strict=True))) for labels, found in points.items()]

    def _instant(self, text: str, at_s: float) -> Vector:
        if text.startswith("(") and text.endswith(")"):
            first, second = text[1:-1].split(" and ")
            left, right = self._instant(first, at_s), self._instant(second, at_s)
            known = {_nameless(labels) for labels in right}
            return {labels: v for labels, v in left.items() if _nameless(labels) in known}
        if (found := _SUM.fullmatch(text)) is not None:
            sums: Vector = {}
            for labels, (time_s, value) in self._instant(found[1], at_s).items():
                kept = tuple(item for item in labels if item[0] in ("namespace", "pod"))
                sums[kept] = time_s, sums.get(kept, (0.0, 0.0))[1] + value
            return sums
        if (found := _INSTANT.fullmatch(text)) is not None:
            return self._newest(found, at_s - _seconds(found[3]), with_name=True)
        found = _CALL.fullmatch(text)
        assert found is not None, text
        if found[1] == "timestamp":
            inner = _INSTANT.fullmatch(found[2])
            assert inner is not None, text
            return {labels: (t, t) for labels, (t, _) in self._newest(inner, at_s, with_name=False).items()}
        window = _RANGE.fullmatch(found[2])
        assert window is not None, text
        function = _FUNCTIONS[found[1]]
        rows = ((labels, function(t, v)) for labels, t, v in self._windows(window, at_s) if t.size)
        return {_nameless(labels): (at_s, value) for labels, value in rows if value is not None}

    def _newest(self, found: re.Match[str], at_s: float, *, with_name: bool) -> Vector:
        vector: Vector = {}
        for labels, times, values in self._selected(found[1], found[2]):
            n = int(np.searchsorted(times, at_s, side="right")) - 1
            if n >= 0 and at_s - times[n] < LOOKBACK_S:
                self.touched += 1
                vector[labels if with_name else _nameless(labels)] = float(times[n]), float(values[n])
        return vector

    def _windows(self, found: re.Match[str], at_s: float) -> Iterator[tuple[Labels, Any, Any]]:
        end_s = at_s - _seconds(found[4])
        for labels, times, values in self._selected(found[1], found[2]):
            first, last = np.searchsorted(times, (end_s - _seconds(found[3]), end_s), side="right")
            self.touched += int(last - first)
            yield labels, times[first:last], values[first:last]

    def _selected(self, metric: str, matchers: str) -> Iterator[tuple[Labels, Any, Any]]:
        parsed = [(label, op, json.loads(f'"{value}"')) for label, op, value in _MATCHER.findall(matchers)]
        for series in self.series:
            labels = {"__name__": series.metric, **series.labels}
            if series.metric == metric and all(
                _matches(op, value, labels.get(label, "")) for label, op, value in parsed
            ):
                yield tuple(sorted(labels.items())), *series.visible(self.now_s)


def _seconds(duration: str | None) -> float:
    if not duration:
        return 0.0
    return float(duration[:-2]) / 1000 if duration.endswith("ms") else float(duration[:-1])


def _matches(operator: str, value: str, label: str) -> bool:
    found = label == value if "~" not in operator else re.fullmatch(value, label) is not None
    return found != operator.startswith("!")


def _nameless(labels: Labels) -> Labels:
    return tuple(item for item in labels if item[0] != "__name__")


def _row(labels: Labels, times: Any, values: Any) -> dict[str, Any]:
    points = [[t, repr(v)] for t, v in zip(times.tolist(), values.tolist(), strict=True)]
    return {"metric": dict(labels), "values": points}


def _slope(times: Any, values: Any) -> float | None:
    return float(np.polyfit(times - times[0], values, 1)[0]) if times.size > 1 else None


def _rate(times: Any, values: Any) -> float | None:
    return float((values[-1] - values[0]) / (times[-1] - times[0])) if times.size > 1 else None


_FUNCTIONS: dict[str, Any] = {
    "min_over_time": lambda _, v: float(v.min()),
    "max_over_time": lambda _, v: float(v.max()),
    "avg_over_time": lambda _, v: float(v.mean()),
    "count_over_time": lambda _, v: float(v.size),
    "deriv": _slope,
    "rate": _rate,
}
