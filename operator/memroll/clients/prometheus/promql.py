"""Typed questions as PromQL. Pure: nothing that a user wrote gets into a query but as a quoted literal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memroll.detection.samples import PodPattern

RSS = "container_memory_rss"
WORKING_SET = "container_memory_working_set_bytes"
CPU = "container_cpu_usage_seconds_total"
OOMS = "container_oom_events_total"
ALIVE = "vector(1)"
"""The cheapest question that still goes through the query engine."""

PATTERN_BYTES_MAX = 16 * 1024
RATE_S_MIN = 300.0
"""Five scrapes of a minute: four are left where one failed."""

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")
"""What RE2 reads as an operator. Python's own escaping covers more, and differs by version."""


class Operator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    DIFFERS = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label. For the regex operators `value` is a pattern: build it with `any_of` or `like`."""

    label: str
    operator: Operator
    value: str

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise ValueError(f"not a label name: {self.label!r}")

    def __str__(self) -> str:
        return f"{self.label}{self.operator.value}{quoted(self.value)}"


_CONTAINERS = (Matcher("container", Operator.NOT_EQUAL, ""), Matcher("container", Operator.NOT_EQUAL, "POD"))
"""Neither a pod's own cgroup nor the process that holds its network."""


def quoted(text: str) -> str:
    """Return a PromQL string literal.

    JSON's escapes are a subset of those of Go, but for characters beyond the basic plane: JSON writes them as two
    surrogates, which Go refuses, so they stay as they are. The replacement character is escaped: unescaped,
    Prometheus takes it for broken UTF-8. A lone surrogate can't be sent at all and raises ValueError.
    """
    text.encode()
    return json.dumps(text, ensure_ascii=False).replace("\ufffd", "\\ufffd")


def any_of(names: Sequence[str]) -> str:
    """Return a pattern that matches exactly these names (Prometheus anchors patterns at both ends)."""
    return "|".join(_literal(name) for name in names)


def like(pattern: PodPattern) -> str:
    """Return a pattern that matches what `pattern` matches."""
    return _literal(pattern.prefix) + pattern.suffix


def _literal(text: str) -> str:
    return _META.sub(r"\\\g<0>", text)


def selector(metric: str, matchers: Sequence[Matcher], namespace: str) -> str:
    """Select the series of one namespace. Its matcher comes last, whatever came before."""
    if not _METRIC.fullmatch(metric):
        raise ValueError(f"not a metric name: {metric!r}")
    conditions = (*matchers, Matcher("namespace", Operator.EQUAL, namespace))
    return f"{metric}{{{','.join(map(str, conditions))}}}"


def of_containers(metric: str, namespace: str, pods: Matcher) -> str:
    return selector(metric, [*_CONTAINERS, pods], namespace)


def samples(selected: str, window_s: float) -> str:
    """Ask for raw samples.

    As an instant query: unlike a range query it gives every sample with its own time, neither resampled nor filled.
    """
    return f"{selected}[{duration(window_s)}]"


def stepped(expression: str, window_s: float, step_s: float) -> str:
    """Ask for an expression at each multiple of the step in the window."""
    return f"{expression}[{duration(window_s)}:{duration(step_s)}]"


def over_time(function: str, selected: str, window_s: float) -> str:
    return f"{function}({samples(selected, window_s)})"


def cpu_rate(namespace: str, pods: Matcher, step_s: float) -> str:
    rate, before = _rate(of_containers(CPU, namespace, pods), step_s)
    return f"({rate} and {before})"


def pod_rate(metric: str, namespace: str, pods: Matcher, step_s: float) -> str:
    """Ask for what a counter of requests grows by, summed up by pod."""
    by_pod = (f"sum by (namespace, pod) ({part})" for part in _rate(selector(metric, [pods], namespace), step_s))
    return f"({' and '.join(by_pod)})"


def of_pod_gauge(metric: str, namespace: str, pod: str) -> tuple[str, str]:
    """Ask for a gauge of one pod, summed up, and for the time of its oldest sample."""
    gauge = selector(metric, [Matcher("pod", Operator.EQUAL, pod)], namespace)
    return f"sum({gauge})", f"min(timestamp({gauge}))"


def _rate(counter: str, step_s: float) -> tuple[str, str]:
    """Return the rate, and what exists only where the counter is older than the rate's window.

    The rate of a window that a counter fills in part comes out too low: each start would look idle.
    """
    window_s = max(RATE_S_MIN, step_s)
    return over_time("rate", counter, window_s), f"{counter} offset {duration(window_s)}"


def duration(seconds: float) -> str:
    """Write a duration in seconds, or in milliseconds where it is not whole."""
    millis = round(seconds * 1000)  # raises for what is not finite
    if millis <= 0:
        raise ValueError(f"not a positive duration: {seconds}")
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def chunked_pods(pods: Sequence[str], pods_max: int) -> Iterator[tuple[str, ...]]:
    """Split the names so that each query stays small. Sorted: the same pods give the same queries."""
    chunk: list[str] = []
    size = 0
    for pod in sorted(set(pods)):
        more = len(quoted(any_of([pod])).encode()) + 1
        if chunk and (len(chunk) == pods_max or size + more > PATTERN_BYTES_MAX):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(pod)
        size += more
    if chunk:
        yield tuple(chunk)
