"""The history of one namespace, read day by day through memroll's own provider."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memroll.backtest import history
from memroll.backtest.history import Container, Day
from memroll.backtest.trace import DAY_S
from memroll.clients.prometheus import promql
from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import Matcher, Operator
from memroll.clients.prometheus.response import BadAnswer, labels_of, number_of, samples_of, series_of
from memroll.clients.prometheus.session import Limits, PrometheusSession
from memroll.clients.prometheus.timeout import Deadline
from memroll.detection.assess import span_of
from memroll.detection.samples import Span
from memroll.errors import PrometheusUnavailable, Stalled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace
    from memroll.detection.samples import Reading
    from memroll.detection.series import Series

NAME = "backtest"
TIMEOUT_S = 300.0
"""Of the read of one day."""
LIMITS = "kube_pod_container_resource_limits"
SPEC_LIMITS = "container_spec_memory_limit_bytes"
LAST_TERMINATED = "kube_pod_container_status_last_terminated_reason"
UNLIMITED_BYTES = 2**60
"""How the kernel writes that there is no limit: this or more."""
KILLED_STEP_S = 300.0


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of the past."""

    url: str
    namespace: str
    since_s: float
    workload: str = ""
    """What the pods' names begin with."""

    @property
    def pods(self) -> Matcher:
        if not self.workload:
            return Matcher("pod", Operator.NOT_EQUAL, "")
        return Matcher("pod", Operator.MATCHES, f"{promql.any_of([self.workload])}.*")


def read(scope: Scope, policy: MemoryPolicy, now_s: float, progress: Callable[[int], None]) -> tuple[Trace, ...]:
    """Return a trace for each container instance. `progress` is told how many seconds are read."""
    connection = _connection(scope.url)
    provider = PrometheusProvider(Connections(connections={NAME: connection}))
    session = PrometheusSession(connection, Limits())
    try:
        reader = _Reader(scope, policy, connection, provider, session)
        days = asyncio.run(reader.days(now_s, progress))
    finally:
        session.close()
        provider.close()
    found = history.traces(days, policy.spec.containers)
    if not found:
        which = f"pods named {scope.workload}* in namespace {scope.namespace}" if scope.workload else scope.namespace
        raise Stalled("NoHistory", f"{connection.host} holds no {promql.RSS} of {which}: are -n and --since right?")
    return found


def _connection(url: str) -> Connection:
    try:
        return Connection(url=url, timeout_seconds=TIMEOUT_S)
    except ValidationError as error:
        text = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise Stalled("ConnectionInvalid", f"--prometheus {text}") from None  # it may hold a password


@dataclass(frozen=True, slots=True)
class _Reader:
    scope: Scope
    policy: MemoryPolicy
    connection: Connection
    provider: PrometheusProvider
    session: PrometheusSession

    async def days(self, now_s: float, progress: Callable[[int], None]) -> list[Day]:
        """Read from the oldest day to the newest, which ends now."""
        found = []
        for start_s, end_s in _days(now_s, self.scope.since_s):
            found.append(await self._day(end_s, end_s - start_s))
            progress(round(self.scope.since_s - (now_s - end_s)))
        return found

    async def _day(self, end_s: float, width_s: float) -> Day:
        pods = [labels["pod"] for labels, _ in self._vector(self._names(width_s), end_s) if "pod" in labels]
        reading = await self._reading(pods, end_s, width_s)
        spec_limits = self._by_container(self._spec_limits(width_s), end_s)
        limits = spec_limits | self._by_container(self._limits(width_s), end_s)
        return Day(reading.rows, limits, self._killed(end_s, width_s))

    async def _reading(self, pods: list[str], end_s: float, width_s: float) -> Reading:
        load = self.policy.spec.load
        span = Span(width_s, span_of(self.policy).step_s)
        metric = None if load is None else load.metric
        return await self.provider.read(NAME, self.scope.namespace, pods, span, end_s, load_metric=metric)

    def _names(self, width_s: float) -> str:
        rss = promql.of_containers(promql.RSS, self.scope.namespace, self.scope.pods)
        return f"count by (pod) ({promql.over_time('count_over_time', rss, width_s)})"

    def _limits(self, width_s: float) -> str:
        of_memory = Matcher("resource", Operator.EQUAL, "memory")
        selected = promql.selector(LIMITS, [of_memory, self.scope.pods], self.scope.namespace)
        return f"max by (pod, container) ({promql.over_time('last_over_time', selected, width_s)})"

    def _spec_limits(self, width_s: float) -> str:
        selected = promql.of_containers(SPEC_LIMITS, self.scope.namespace, self.scope.pods)
        return f"max by (pod, container) ({promql.over_time('last_over_time', selected, width_s)})"

    def _by_container(self, query: str, at_s: float) -> dict[Container, float]:
        found = ((labels, number_of(raw.get("value"))) for labels, raw in self._vector(query, at_s))
        return {
            (labels.get("pod", ""), labels.get("container", "")): number
            for labels, number in found
            if number is not None and 0 < number < UNLIMITED_BYTES
        }

    def _killed(self, end_s: float, width_s: float) -> dict[Container, Series]:
        by_kernel = Matcher("reason", Operator.EQUAL, "OOMKilled")
        selected = promql.selector(LAST_TERMINATED, [by_kernel, self.scope.pods], self.scope.namespace)
        query = promql.stepped(f"(max by (pod, container) ({selected} == 1))", width_s, KILLED_STEP_S)
        found = self._ask(query, end_s, "matrix")
        return {(la.get("pod", ""), la.get("container", "")): samples_of(raw.get("values")) for la, raw in found}

    def _vector(self, query: str, at_s: float) -> list[tuple[dict[str, str], dict[str, Any]]]:
        return self._ask(query, at_s, "vector")

    def _ask(self, query: str, at_s: float, kind: str) -> list[tuple[dict[str, str], dict[str, Any]]]:
        text = self.session.ask(query, at_s, Deadline(TIMEOUT_S))
        try:
            return [(labels_of(raw), raw) for raw in series_of(text, kind)]
        except BadAnswer as error:
            raise PrometheusUnavailable(error.reason, f"{self.connection.host} {error.text}") from error


def _days(now_s: float, since_s: float) -> Iterator[tuple[float, float]]:
    """Yield the starts and ends of the days up to now, oldest first; that one may be shorter."""
    count = int(-(-since_s // DAY_S))
    for n in range(count, 0, -1):
        yield max(now_s - since_s, now_s - n * DAY_S), now_s - (n - 1) * DAY_S
