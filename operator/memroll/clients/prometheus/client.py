"""Client of Prometheus: takes a connection name, a namespace and pods, and returns series or statistics.

The assessment, the evidence capture and the backtest call it. The HTTP library blocks, so every read runs in a thread,
with its decoding. Each connection has its own few threads: a hanging server can't exhaust the threads of another
connection, nor those in which asyncio resolves host names.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from memroll.clients.prometheus import errors, long_history, promql, query_plan
from memroll.clients.prometheus.block_read import BlockRead
from memroll.clients.prometheus.config import Connections
from memroll.clients.prometheus.credentials import Version, read_version
from memroll.clients.prometheus.incremental_read import IncrementalRead
from memroll.clients.prometheus.long_history import LongHistoryCache
from memroll.clients.prometheus.response import BadResponseError, iter_series, parse_number
from memroll.clients.prometheus.rows import SeriesRowBuilder, StatisticRowBuilder
from memroll.clients.prometheus.session import Limits, PrometheusSession
from memroll.clients.prometheus.step_cache import StepCache
from memroll.clients.prometheus.timeout import Timeout
from memroll.detection.extremes import Extremes
from memroll.detection.samples import NO_SLOW_BINS, PrefilterResult, QueryResult
from memroll.errors import PrometheusUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll.clients.prometheus.config import Connection
    from memroll.clients.prometheus.session import ObserveQuery, QueryCost
    from memroll.detection.extremes import ExtremesRequest
    from memroll.detection.samples import ReadRequest, SlowBins

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GAUGE_S = 5.0
"""Maximum timeout of a query of a gauge in seconds, chosen by hand: a step of a roll waits for it, and repeats it."""
MAX_QUEUED_TIMEOUTS = 10
"""Maximum time that a read waits for a free thread, in timeouts of a query; chosen by hand."""
GRACE_S = 0.5
"""Time that a caller waits longer than its thread, in seconds: the thread's error names the cause."""


class PrometheusClient:
    """Client for all connections. `connections` may be a function that returns the current ones.

    `observe` is called with the connection's name and the cost of each query, from any thread.
    """

    def __init__(
        self,
        connections: Connections | Callable[[], Connections],
        limits: Limits | None = None,
        observe: Callable[[str, QueryCost], None] = lambda *_: None,
    ) -> None:
        self._connections = connections
        self._observe = observe
        self._limits = limits or Limits()
        self._pools: dict[str, _ConnectionPool] = {}

    async def prefilter(
        self,
        connection: str,
        namespace: str,
        pods: Sequence[str],
        windows_s: Sequence[float],
        at_s: float,
        slow: SlowBins = NO_SLOW_BINS,
    ) -> PrefilterResult:
        """Return a few statistics, computed by the server, of each container of these pods.

        Cheap enough for all pods. Raises as `read` does.
        """
        windows, caches = tuple(windows_s), self._pool(connection).caches_of(self._current().get(connection))
        at_s = round(at_s, 3)  # the resolution of Prometheus' timestamps

        def fetch(session: PrometheusSession, timeout: Timeout) -> PrefilterResult:
            rows = StatisticRowBuilder(namespace, windows, slow)
            scope = session.scope(namespace)
            for query in query_plan.plan_prefilter(scope, pods, windows, slow, session.max_names_bytes):
                response = session.query(query.expression, at_s, timeout)
                rows.add(query.statistic, iter_series(response, "vector"), query.pods.matches)
            by_blocks = [w for w in windows if slow.is_by_blocks(w)]
            if by_blocks:
                means = BlockRead(session, caches.blocks, timeout, namespace, at_s).means(pods, max(by_blocks), slow)
                rows.add_means(means, at_s)
            return PrefilterResult(rows.build(), windows, at_s, slow)

        return await self._run(connection, fetch)

    async def read(self, connection: str, request: ReadRequest) -> QueryResult:
        """Return the series of the request; an empty result is valid.

        Raises PrometheusUnavailableError, or TerminalError for an invalid connection.
        """
        request = replace(request, at_s=round(request.at_s, 3))  # the resolution of Prometheus' timestamps
        caches = self._pool(connection).caches_of(self._current().get(connection))

        def fetch(session: PrometheusSession, timeout: Timeout) -> QueryResult:
            if request.incremental and request.sample_range.step_s is not None:
                return IncrementalRead(session, caches.steps, request, timeout).run()
            rows, has_series = SeriesRowBuilder(request.namespace), True
            for query in query_plan.plan_read(request, session.match_labels, session.max_names_bytes):
                if query.is_rest and not has_series:
                    continue
                series = iter_series(session.query(query.expression, query.at_s, timeout), "matrix")
                has_series = rows.add(query.kind, series, query.time_range, query.pods.matches)
            return QueryResult(rows.build(), request.at_s)

        return await self._run(connection, fetch)

    async def read_extremes(self, connection: str, request: ExtremesRequest) -> Extremes:
        """Return the long histories of the request, as far as they can be read: an error is logged, not raised.

        Each step is read once, or a few times soon after its end. After an error none is read for a while.
        """
        request = replace(request, at_s=round(request.at_s, 3))
        cache = self._pool(connection).caches_of(self._current().get(connection)).long
        if not request.pods or not cache.may_read(request):
            return Extremes((), request.step_s)

        def fetch(session: PrometheusSession, timeout: Timeout) -> Extremes:
            return long_history.read_extremes(session, cache, request, timeout)

        try:
            return await self._run(connection, fetch)
        except PrometheusUnavailableError as error:
            cache.note_failure(request)
            again_s = long_history.RETRY_STEPS * request.step_s
            logger.warning("assessing without long histories for %.0f s: %s", again_s, error.message)
            return Extremes((), request.step_s)

    async def read_gauge(self, connection: str, namespace: str, pod: str, metric: str, since_s: float) -> float | None:
        """Return the sum of a gauge of one pod; None if one of its samples is not newer than `since_s`.

        Raises as `read` does.
        """

        def fetch(session: PrometheusSession, timeout: Timeout) -> float | None:
            total, oldest = (
                next(
                    (parse_number(row.get("value")) for row in iter_series(session.query(q, None, timeout), "vector")),
                    None,
                )
                for q in promql.pod_gauge(metric, session.scope(namespace), pod)
            )
            return total if oldest is not None and oldest > since_s else None

        return await self._run(connection, fetch, MAX_GAUGE_S)

    async def ping(self, connection: str) -> None:
        """Return if the connection can be queried; raise as `read` does."""

        def fetch(session: PrometheusSession, timeout: Timeout) -> None:
            found = list(iter_series(session.query(promql.ALIVE, None, timeout), "vector"))
            if len(found) != 1:
                raise BadResponseError(
                    errors.QueryErrorReason.BAD_RESPONSE, f"returned {len(found)} series for {promql.ALIVE}"
                )

        await self._run(connection, fetch)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def _current(self) -> Connections:
        return self._connections if isinstance(self._connections, Connections) else self._connections()

    def _pool(self, name: str) -> _ConnectionPool:
        if name not in self._pools:
            self._pools[name] = _ConnectionPool(self._limits, partial(self._observe, name))
        return self._pools[name]

    async def _run(
        self, name: str, fetch: Callable[[PrometheusSession, Timeout], T], max_timeout_s: float = float("inf")
    ) -> T:
        connection, pool = self._current().get(name), self._pool(name)
        timeout = Timeout(min(connection.timeout_seconds, max_timeout_s))

        def run() -> T:
            try:
                return fetch(pool.session(connection), timeout)
            except BadResponseError as error:
                raise PrometheusUnavailableError(error.reason, f"{connection.host} {error.text}") from error

        reading = asyncio.get_running_loop().run_in_executor(pool.threads, copy_context().run, run)
        try:
            return await _wait_for(reading, timeout, connection.host)
        finally:
            timeout.abandon()
            reading.cancel()


async def _wait_for(reading: asyncio.Future[T], limit: Timeout, host: str) -> T:
    """Return the result of a read. Raise when a query, or the wait for a free thread, takes too long.

    A query that ends later than its timeout is an operation without a socket timeout, such as DNS.
    """
    queued_until = time.monotonic() + MAX_QUEUED_TIMEOUTS * limit.timeout_s
    while True:
        done, _ = await asyncio.wait({reading}, timeout=limit.remaining_s + GRACE_S)
        if done:
            return reading.result()
        if limit.is_expired():
            raise errors.timeout_error(host, limit.timeout_s)
        if not limit.has_started and time.monotonic() > queued_until:
            raise errors.queue_error(host, MAX_QUEUED_TIMEOUTS * limit.timeout_s)


@dataclass(frozen=True, slots=True)
class _Caches:
    """Known steps of one store."""

    long: LongHistoryCache = field(default_factory=LongHistoryCache)
    steps: StepCache = field(default_factory=StepCache)
    """Steps of candidates and their peers."""
    blocks: StepCache = field(default_factory=StepCache)
    """Means of all containers."""


class _ConnectionPool:
    """Threads of one connection, its session, and its cache, which are reused until the connection changes."""

    def __init__(self, limits: Limits, observe: ObserveQuery) -> None:
        self._limits = limits
        self._observe = observe
        self.threads = ThreadPoolExecutor(limits.max_concurrent, thread_name_prefix="prometheus")
        self._lock = threading.Lock()
        self._session: PrometheusSession | None = None
        self._version: tuple[Connection, Version] | None = None
        self._caches: tuple[Connection, _Caches] | None = None

    def caches_of(self, connection: Connection) -> _Caches:
        """Return what is known of the store; nothing if the connection changed, which may be another one."""
        if self._caches is None or self._caches[0] != connection:
            self._caches = (connection, _Caches())
        return self._caches[1]

    def session(self, connection: Connection) -> PrometheusSession:
        """Return the open session, or a new one if the connection or one of its files changed."""
        version = (connection, read_version(connection.files()))  # before reading them: a later change is noticed
        with self._lock:
            if self._session is None or self._version != version:
                session = PrometheusSession(connection, self._limits, self._observe)
                if self._session is not None:
                    self._session.close()
                self._session, self._version = session, version
            return self._session

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            self._session.close()
