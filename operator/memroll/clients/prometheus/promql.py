"""PromQL expressions, built from typed values. Pure. User input enters a query only as a quoted literal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from memroll.model.pod_names import PodPattern

RSS = "container_memory_rss"
WORKING_SET = "container_memory_working_set_bytes"
CPU = "container_cpu_usage_seconds_total"
OOMS = "container_oom_events_total"
ACTIVE_FILE = "container_memory_total_active_file_bytes"
SWAP = "container_memory_swap"
ALIVE = "vector(1)"
"""Cheapest query that the query engine evaluates."""

MIN_RATE_WINDOW_S = 300.0
"""Minimum window of a rate, in seconds: five scrapes at an interval of one minute, or four if one failed."""

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""Metacharacters of RE2. `re.escape` escapes more characters, and differs between Python versions."""


class MatchOperator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """Label matcher. For the regex operators `value` is a pattern, from `any_of` or `pod_name_pattern`."""

    label: str
    operator: MatchOperator
    value: str

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise ValueError(f"not a label name: {self.label!r}")

    def __str__(self) -> str:
        return f"{self.label}{self.operator.value}{quote(self.value)}"


@dataclass(frozen=True, slots=True)
class QueryScope:
    """Scope of every query: one namespace, and the labels by which a connection selects its cluster."""

    namespace: str
    match_labels: Mapping[str, str]

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Matchers of the scope. The namespace's comes last."""
        labels = {**self.match_labels, "namespace": self.namespace}
        return tuple(Matcher(label, MatchOperator.EQUAL, value) for label, value in labels.items())


_CONTAINERS = (Matcher("container", MatchOperator.NOT_EQUAL, ""), Matcher("container", MatchOperator.NOT_EQUAL, "POD"))
"""Matchers that exclude a pod's own cgroup and its pause container."""


def quote(text: str) -> str:
    """Return a PromQL string literal.

    JSON's escapes are a subset of Go's, except for characters outside of the basic plane: JSON writes two surrogates,
    which Go rejects, so these characters stay unescaped. The replacement character is escaped, because Prometheus
    takes an unescaped one for invalid UTF-8. A lone surrogate can't be encoded and raises ValueError.
    """
    text.encode()
    return json.dumps(text, ensure_ascii=False).replace("\ufffd", "\\ufffd")


def any_of(names: Sequence[str]) -> str:
    """Return a pattern that matches exactly these names (Prometheus anchors patterns at both ends)."""
    return "|".join(_escape(name) for name in names)


def pod_name_pattern(pattern: PodPattern) -> str:
    """Return the regex for the names that `pattern` matches."""
    return _escape(pattern.prefix) + pattern.suffix


def _escape(text: str) -> str:
    return _META.sub(r"\\\g<0>", text)


def series_selector(metric: str, matchers: Sequence[Matcher], scope: QueryScope) -> str:
    """Return a selector for series of one scope. The scope's matchers come last, so no other overrides them."""
    if not _METRIC.fullmatch(metric):
        raise ValueError(f"not a metric name: {metric!r}")
    return f"{metric}{{{','.join(map(str, (*matchers, *scope.matchers)))}}}"


def container_selector(metric: str, scope: QueryScope, *matchers: Matcher) -> str:
    return series_selector(metric, [*_CONTAINERS, *matchers], scope)


def raw_samples(selector: str, window_s: float) -> str:
    """Return a range selector.

    An instant query of it, unlike a range query, returns each sample with its own timestamp, without interpolation.
    """
    return f"{selector}[{format_duration(window_s)}]"


def subquery(expression: str, start_s: float, end_s: float, step_s: float) -> tuple[str, float] | None:
    """Return a subquery for the multiples of the step in (start_s, end_s], and its time; None if there are none.

    Its time is the last of these multiples and its window a whole number of steps (design note 0020). The first point
    may be at or before `start_s`: Prometheus 2 includes the first instant of a window, Prometheus 3 does not.
    """
    start, end, step = (round(seconds * 1000) for seconds in (start_s, end_s, step_s))
    last = end // step * step
    if last <= start:
        return None
    window_s = -((start - last) // step) * step / 1000
    return f"{expression}[{format_duration(window_s)}:{format_duration(step_s)}]", last / 1000


def over_time(function: str, selector: str, window_s: float, offset_s: float = 0.0) -> str:
    """Return an aggregation over a window that ended `offset_s` seconds ago."""
    return f"{function}({at_offset(raw_samples(selector, window_s), offset_s)})"


def at_offset(selector: str, offset_s: float) -> str:
    """Return the selector as of `offset_s` seconds ago."""
    return f"{selector} offset {format_duration(offset_s)}" if offset_s else selector


def cpu_rate(scope: QueryScope, pods: Matcher, step_s: float, *more: Matcher) -> str:
    rate, before = _rate(container_selector(CPU, scope, pods, *more), step_s)
    return f"({rate} and {before})"


def pod_rate(metric: str, scope: QueryScope, pods: Matcher, step_s: float, *more: Matcher) -> str:
    """Return the rate of a counter of requests, summed by pod."""
    parts = _rate(series_selector(metric, [pods, *more], scope), step_s)
    by_pod = (f"sum by (namespace, pod) ({part})" for part in parts)
    return f"({' and '.join(by_pod)})"


def pod_gauge(metric: str, scope: QueryScope, pod: str) -> tuple[str, str]:
    """Return two queries: the sum of a gauge of one pod, and the timestamp of its oldest sample."""
    gauge = series_selector(metric, [Matcher("pod", MatchOperator.EQUAL, pod)], scope)
    return f"sum({gauge})", f"min(timestamp({gauge}))"


def _rate(counter: str, step_s: float) -> tuple[str, str]:
    """Return the rate, and an expression that exists only where the counter is older than the rate's window.

    The rate of a window that the counter covers only in part is too low: each start would look idle.
    """
    window_s = max(MIN_RATE_WINDOW_S, step_s)
    return over_time("rate", counter, window_s), f"{counter} offset {format_duration(window_s)}"


def format_duration(seconds: float) -> str:
    """Format a duration in seconds, or in milliseconds if it is not a whole number of seconds."""
    millis = round(seconds * 1000)  # raises for an infinite number
    if millis <= 0:
        raise ValueError(f"not a positive duration: {seconds}")
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def encoded_size(matcher: Matcher) -> int:
    """Return the size of a matcher as a form or a URL contains it, in bytes."""
    return len(quote_plus(str(matcher)))


def chunk_pods(pods: Sequence[str], max_pods: int, max_bytes: int) -> Iterator[tuple[str, ...]]:
    """Split the names so that each query stays small. Sorted: the same pods give the same queries.

    `max_bytes` limits the names of one chunk as a form or a URL contains them.
    """
    chunk: list[str] = []
    size = 0
    for pod in sorted(set(pods)):
        pod_size = len(quote_plus(quote(any_of(["", pod])))) - len(quote_plus(quote("")))
        if chunk and (len(chunk) == max_pods or size + pod_size > max_bytes):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(pod)
        size += pod_size
    if chunk:
        yield tuple(chunk)
