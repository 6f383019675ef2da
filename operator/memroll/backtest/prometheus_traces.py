"""Read the history of one namespace from Prometheus, day by day, with the operator's own client.

Called by `memroll backtest --prometheus`. One query over two weeks would exceed the server's limits.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memroll.backtest import history
from memroll.backtest.history import Container, HistoryDay
from memroll.backtest.trace import DAY_S
from memroll.clients.prometheus import promql
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import Matcher, MatchOperator
from memroll.clients.prometheus.response import BadResponseError, iter_series, parse_labels, parse_number, parse_samples
from memroll.clients.prometheus.session import Limits, PrometheusSession
from memroll.clients.prometheus.timeout import Timeout
from memroll.detection.parameters import build_parameters
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import PrometheusUnavailableError, TerminalError
from memroll.model.pods import UNLIMITED_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace
    from memroll.clients.prometheus.session import QueryCost
    from memroll.detection.samples import QueryResult
    from memroll.detection.series import Series

CONNECTION = "backtest"
TIMEOUT_S = 300.0
"""Timeout in seconds of each query over one day; chosen by hand."""
LIMITS = "kube_pod_container_resource_limits"
SPEC_LIMITS = "container_spec_memory_limit_bytes"
LAST_TERMINATED = "kube_pod_container_status_last_terminated_reason"
OOM_KILLS_STEP_S = 300.0
"""Resolution in seconds of the query for termination reasons; chosen by hand."""


@dataclass(frozen=True, slots=True)
class HistoryScope:
    """Selection of the history to read."""

    url: str
    """Address; not used with a connection."""
    namespace: str
    lookback_s: float
    workload: str = ""
    """Prefix of the pods' names; empty: all pods."""
    match_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that every queried series must have."""
    connection: Connection | None = None
    """Connection of the operator's file, with its credentials; None: the URL."""

    @property
    def pods(self) -> Matcher:
        if not self.workload:
            return Matcher("pod", MatchOperator.NOT_EQUAL, "")
        return Matcher("pod", MatchOperator.MATCHES, f"{promql.any_of([self.workload])}.*")


def read(
    scope: HistoryScope,
    policy: MemoryPolicy,
    now_s: float,
    progress: Callable[[int], None],
    observe: Callable[[str, QueryCost], None] = lambda *_: None,
) -> tuple[Trace, ...]:
    """Return a trace for each container instance. `progress` is called with the seconds of history read so far.

    `observe` is called with the connection's name and the cost of each query, from any thread.
    """
    connection = _connection(scope)
    provider = PrometheusClient(Connections(connections={CONNECTION: connection}), observe=observe)
    session = PrometheusSession(connection, Limits(), partial(observe, CONNECTION))
    try:
        reader = _Reader(scope, policy, connection, provider, session)
        days = asyncio.run(reader.days(now_s, progress))
    finally:
        session.close()
        provider.close()
    found = history.build_traces(days, policy.spec.containers)
    if not found:
        pods = f"pods named {scope.workload}* in namespace {scope.namespace}" if scope.workload else scope.namespace
        raise TerminalError("NoHistory", f"{connection.host} has no {promql.RSS} of {pods}: check -n and --since")
    return found


def _connection(scope: HistoryScope) -> Connection:
    if scope.connection is not None:
        labels = {**scope.connection.match_labels, **scope.match_labels}
        return scope.connection.model_copy(update={"match_labels": labels, "timeout_seconds": TIMEOUT_S})
    try:
        return Connection(url=scope.url, match_labels=dict(scope.match_labels), timeout_seconds=TIMEOUT_S)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        option = "--prometheus" if found["loc"] and found["loc"][0] == "url" else "--match-label"
        text = found["msg"].removeprefix("Value error, ")
        raise TerminalError("ConnectionInvalid", f"{option} {text}") from None  # it may hold a password


@dataclass(frozen=True, slots=True)
class _Reader:
    scope: HistoryScope
    policy: MemoryPolicy
    connection: Connection
    provider: PrometheusClient
    session: PrometheusSession

    @property
    def queried(self) -> promql.QueryScope:
        return self.session.scope(self.scope.namespace)

    async def days(self, now_s: float, progress: Callable[[int], None]) -> list[HistoryDay]:
        """Return query results from the oldest day to the newest, which ends now."""
        found = []
        for start_s, end_s in _days(now_s, self.scope.lookback_s):
            found.append(await self._day(end_s, end_s - start_s))
            progress(round(self.scope.lookback_s - (now_s - end_s)))
        return found

    async def _day(self, end_s: float, width_s: float) -> HistoryDay:
        pods = [
            labels["pod"] for labels, _ in self._query_vector(self._pod_names_query(width_s), end_s) if "pod" in labels
        ]
        samples = await self._read_samples(pods, end_s, width_s)
        spec_limits = self._by_container(self._spec_limits_query(width_s), end_s)
        limits = spec_limits | self._by_container(self._limits_query(width_s), end_s)
        return HistoryDay(samples.rows, limits, self._read_oom_kills(end_s, width_s))

    async def _read_samples(self, pods: list[str], end_s: float, width_s: float) -> QueryResult:
        load = self.policy.spec.load
        parameters = build_parameters(self.policy, None)
        step_s = SampleRange.for_window(parameters.lookback_s, parameters.window_s).step_s
        metric = None if load is None else load.metric
        sample_range = SampleRange(width_s, step_s)
        request = ReadRequest(self.scope.namespace, pods, sample_range, end_s, load_metric=metric, detailed=pods)
        return await self.provider.read(CONNECTION, request)

    def _pod_names_query(self, width_s: float) -> str:
        rss = promql.container_selector(promql.RSS, self.queried, self.scope.pods)
        return f"count by (pod) ({promql.over_time('count_over_time', rss, width_s)})"

    def _limits_query(self, width_s: float) -> str:
        of_memory = Matcher("resource", MatchOperator.EQUAL, "memory")
        selected = promql.series_selector(LIMITS, [of_memory, self.scope.pods], self.queried)
        return f"max by (pod, container) ({promql.over_time('last_over_time', selected, width_s)})"

    def _spec_limits_query(self, width_s: float) -> str:
        selected = promql.container_selector(SPEC_LIMITS, self.queried, self.scope.pods)
        return f"max by (pod, container) ({promql.over_time('last_over_time', selected, width_s)})"

    def _by_container(self, query: str, at_s: float) -> dict[Container, float]:
        found = ((labels, parse_number(raw.get("value"))) for labels, raw in self._query_vector(query, at_s))
        return {
            (labels.get("pod", ""), labels.get("container", "")): number
            for labels, number in found
            if number is not None and 0 < number < UNLIMITED_BYTES
        }

    def _read_oom_kills(self, end_s: float, width_s: float) -> dict[Container, Series]:
        is_oom_kill = Matcher("reason", MatchOperator.EQUAL, "OOMKilled")
        selected = promql.series_selector(LAST_TERMINATED, [is_oom_kill, self.scope.pods], self.queried)
        was_killed = f"(max by (pod, container) ({selected} == 1))"
        query = promql.subquery(was_killed, end_s - width_s, end_s, OOM_KILLS_STEP_S)
        found = self._query(*query, "matrix") if query else []
        return {(la.get("pod", ""), la.get("container", "")): parse_samples(raw.get("values")) for la, raw in found}

    def _query_vector(self, query: str, at_s: float) -> list[tuple[dict[str, str], dict[str, Any]]]:
        return self._query(query, at_s, "vector")

    def _query(self, query: str, at_s: float, kind: str) -> list[tuple[dict[str, str], dict[str, Any]]]:
        text = self.session.query(query, at_s, Timeout(TIMEOUT_S))
        try:
            return [(parse_labels(raw), raw) for raw in iter_series(text, kind)]
        except BadResponseError as error:
            raise PrometheusUnavailableError(error.reason, f"{self.connection.host} {error.text}") from error


def _days(now_s: float, lookback_s: float) -> Iterator[tuple[float, float]]:
    """Yield start and end of each day up to now, oldest first; the oldest day may be shorter."""
    count = int(-(-lookback_s // DAY_S))
    for n in range(count, 0, -1):
        yield max(now_s - lookback_s, now_s - n * DAY_S), now_s - (n - 1) * DAY_S
