"""Which questions a screening and a read consist of, each small enough to be answered. Pure.

Both are instant queries throughout. A point under time t covers (t - step, t], so no sample counts before it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from memroll.clients.prometheus import promql
from memroll.clients.prometheus.promql import Matcher, Operator
from memroll.detection.samples import TICK_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memroll.detection.samples import PodPattern, Span

READ_PODS_MAX = 100
SCREEN_PODS_MAX = 400
"""An answer holds one point of each container, and yet larger ones gain nothing."""
POINTS_MAX = 250_000
"""In one answer, as far as can be foreseen: some 7 MiB."""
CONTAINERS_GUESS = 2
SCRAPE_S_MIN = 15.0
LOAD_STEP_S = 60.0
"""Where memory is read raw."""


class Column(StrEnum):
    """What a series of a read is of."""

    RSS = promql.RSS
    WORKING_SET = promql.WORKING_SET
    OOMS = promql.OOMS
    LOAD = "load"
    POD_LOAD = "pod load"


_EXTREME = {Column.RSS: "min_over_time", Column.WORKING_SET: "max_over_time", Column.OOMS: "max_over_time"}
"""What counts of a step: garbage leaves the least, the limit is hit by the greatest."""


class Kind(StrEnum):
    SLOPE = "deriv"
    SAMPLES = "count_over_time"
    RSS = promql.RSS
    WORKING_SET = promql.WORKING_SET
    LAST = "timestamp"


@dataclass(frozen=True, slots=True)
class Window:
    """The instants in (start_s, end_s]."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Some pods: as a matcher for the server, and as what of an answer is taken."""

    matcher: Matcher
    holds: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Question:
    query: str
    at_s: float
    column: Column
    window: Window
    asked: Asked


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a container instance. `window_s` is zero for what has none."""

    kind: Kind
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ScreenQuestion:
    query: str
    figure: Figure
    asked: Asked


def of_screening(namespace: str, pods: Sequence[str], windows_s: Sequence[float]) -> Iterator[ScreenQuestion]:
    """Ask for the figures of all containers of these pods."""
    for asked in _by_name(pods, SCREEN_PODS_MAX):
        rss, working_set = (promql.of_containers(m, namespace, asked.matcher) for m in (Kind.RSS, Kind.WORKING_SET))
        for window_s in windows_s:
            for kind in (Kind.SLOPE, Kind.SAMPLES):
                yield ScreenQuestion(promql.over_time(kind, rss, window_s), Figure(kind, window_s), asked)
        yield ScreenQuestion(rss, Figure(Kind.RSS), asked)
        yield ScreenQuestion(working_set, Figure(Kind.WORKING_SET), asked)
        yield ScreenQuestion(f"{Kind.LAST}({rss})", Figure(Kind.LAST), asked)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a read is about."""

    namespace: str
    pods: tuple[str, ...]
    like: tuple[PodPattern, ...]
    span: Span
    at_s: float
    load_metric: str | None

    @property
    def start_s(self) -> float:
        return self.at_s - self.span.lookback_s


def of_read(wanted: Wanted) -> Iterator[Question]:
    """Ask for the series of all containers of these pods, and of those that are named like them."""
    for asked in (*_by_name(wanted.pods, pods_per_query(wanted.span)), *_by_pattern(wanted.like, wanted.pods)):
        for column in _EXTREME:
            yield from _of_memory(wanted, column, asked)
        yield _of_load(wanted, asked)


def pods_per_query(span: Span) -> int:
    points = span.lookback_s / (span.step_s or SCRAPE_S_MIN) * CONTAINERS_GUESS
    return max(1, min(READ_PODS_MAX, int(POINTS_MAX / max(points, 1.0))))


def _by_name(pods: Sequence[str], pods_max: int) -> Iterator[Asked]:
    for chunk in promql.chunked_pods(pods, pods_max):
        yield Asked(Matcher("pod", Operator.MATCHES, promql.any_of(chunk)), frozenset(chunk).__contains__)


def _by_pattern(patterns: Sequence[PodPattern], named: Sequence[str]) -> Iterator[Asked]:
    """Leave out what is asked for by name, and what an earlier pattern matches: no pod comes twice."""
    for n, pattern in enumerate(patterns):
        holds = partial(_first_matched_by, pattern, patterns[:n], frozenset(named))
        yield Asked(Matcher("pod", Operator.MATCHES, promql.like(pattern)), holds)


def _first_matched_by(own: PodPattern, earlier: Sequence[PodPattern], named: frozenset[str], pod: str) -> bool:
    return own.matches(pod) and pod not in named and not any(p.matches(pod) for p in earlier)


def _of_memory(wanted: Wanted, column: Column, asked: Asked) -> Iterator[Question]:
    selected = promql.of_containers(column, wanted.namespace, asked.matcher)
    step_s = wanted.span.step_s
    raw_from_s = wanted.start_s
    if step_s is not None and (until_s := _steps_end_s(wanted.at_s, step_s)) >= wanted.start_s + step_s:
        raw_from_s = until_s
        least_or_most = promql.over_time(_EXTREME[column], selected, step_s)
        query = promql.stepped(least_or_most, until_s - wanted.start_s, step_s)
        whole_steps = Window(wanted.start_s + step_s - TICK_S, until_s)
        yield Question(query, until_s, column, whole_steps, asked)
    query = promql.samples(selected, wanted.at_s - raw_from_s)
    yield Question(query, wanted.at_s, column, Window(raw_from_s, wanted.at_s), asked)


def _steps_end_s(at_s: float, step_s: float) -> float:
    """Return when the last but one whole step ends. What comes after it is read raw: its times must be exact.

    Prometheus counts a subquery's steps from the epoch, whatever the instant of the query is.
    """
    at, step = round(at_s * 1000), round(step_s * 1000)
    return (at // step - 1) * step / 1000


def _of_load(wanted: Wanted, asked: Asked) -> Question:
    step_s = wanted.span.step_s or LOAD_STEP_S
    if wanted.load_metric is None:
        column, rate = Column.LOAD, promql.cpu_rate(wanted.namespace, asked.matcher, step_s)
    else:
        column = Column.POD_LOAD
        rate = promql.pod_rate(wanted.load_metric, wanted.namespace, asked.matcher, step_s)
    query = promql.stepped(rate, wanted.span.lookback_s, step_s)
    return Question(query, wanted.at_s, column, Window(wanted.start_s, wanted.at_s), asked)
