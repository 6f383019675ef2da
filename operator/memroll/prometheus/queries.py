"""Typed questions as PromQL. Pure: nothing that a user wrote gets into a query but as a quoted literal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RSS = "container_memory_rss"
WORKING_SET = "container_memory_working_set_bytes"
ALIVE = "vector(1)"
"""The cheapest question that still goes through the query engine."""

PODS_MAX = 100
"""Names in one query: keeps an answer of hours of samples to a few MiB."""
PATTERN_BYTES_MAX = 16 * 1024

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
    """One condition on a label. For the regex operators `value` is a pattern: build it with `any_of`."""

    label: str
    operator: Operator
    value: str

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise ValueError(f"not a label name: {self.label!r}")

    def __str__(self) -> str:
        return f"{self.label}{self.operator.value}{quoted(self.value)}"


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
    return "|".join(_META.sub(r"\\\g<0>", name) for name in names)


def selector(metric: str, matchers: Sequence[Matcher], namespace: str) -> str:
    """Select the series of one namespace. Its matcher comes last, whatever came before."""
    if not _METRIC.fullmatch(metric):
        raise ValueError(f"not a metric name: {metric!r}")
    conditions = (*matchers, Matcher("namespace", Operator.EQUAL, namespace))
    return f"{metric}{{{','.join(map(str, conditions))}}}"


def memory_samples(metric: str, namespace: str, pods: Sequence[str] | None, window_s: float) -> str:
    """Ask for the raw samples of the containers of these pods, or of all pods of the namespace.

    As an instant query: unlike a range query it gives every sample with its own time, neither resampled nor filled.
    """
    matchers = [Matcher("container", Operator.NOT_EQUAL, ""), Matcher("container", Operator.NOT_EQUAL, "POD")]
    if pods is not None:
        if not pods:
            raise ValueError("no pods to ask for")
        matchers.append(Matcher("pod", Operator.MATCHES, any_of(pods)))
    return f"{selector(metric, matchers, namespace)}[{duration(window_s)}]"


def duration(seconds: float) -> str:
    """Write a duration in seconds, or in milliseconds where it is not whole."""
    millis = round(seconds * 1000)  # raises for what is not finite
    if millis <= 0:
        raise ValueError(f"not a positive duration: {seconds}")
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def chunked_pods(pods: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Split the names so that each query stays small. Sorted: the same pods give the same queries."""
    chunk: list[str] = []
    size = 0
    for pod in sorted(set(pods)):
        more = len(quoted(any_of([pod])).encode()) + 1
        if chunk and (len(chunk) == PODS_MAX or size + more > PATTERN_BYTES_MAX):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(pod)
        size += more
    if chunk:
        yield tuple(chunk)
