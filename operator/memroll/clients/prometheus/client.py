"""Reads series for whoever judges them: connection name, namespace and pods in, a Reading out.

The Prometheus client blocks, so every read runs in a thread, decoding included. Each connection has a few threads
of its own: one that hangs can't use up those of another, nor those that asyncio resolves host names with.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from memroll.clients.prometheus import errors, promql, query_plan
from memroll.clients.prometheus.config import Connections
from memroll.clients.prometheus.credentials import Version, version_of
from memroll.clients.prometheus.query_plan import Wanted
from memroll.clients.prometheus.response import BadAnswer, number_of, series_of
from memroll.clients.prometheus.rows import Rows, ScreenRows
from memroll.clients.prometheus.session import Limits, PrometheusSession
from memroll.clients.prometheus.timeout import Deadline
from memroll.detection.samples import Reading, Screening, Span
from memroll.errors import PrometheusUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll.clients.prometheus.config import Connection
    from memroll.detection.samples import PodPattern

T = TypeVar("T")

GRACE_S = 0.5
"""How much longer than its thread a caller waits: the thread can name what went wrong."""


class PrometheusProvider:
    """Give it the connections, or what returns the current ones. Close it at the end."""

    def __init__(self, connections: Connections | Callable[[], Connections], limits: Limits | None = None) -> None:
        self._connections = connections
        self._limits = limits or Limits()
        self._lines: dict[str, _Line] = {}

    async def screen(
        self, connection: str, namespace: str, pods: Sequence[str], windows_s: Sequence[float], at_s: float
    ) -> Screening:
        """Return what the server works out of each container of these pods: little, so that all can be asked about.

        Raises as `read` does.
        """
        windows = tuple(windows_s)
        at_s = round(at_s, 3)  # as precise as Prometheus' times

        def fetch(session: PrometheusSession, deadline: Deadline) -> Screening:
            rows = ScreenRows(namespace, windows)
            for question in query_plan.of_screening(namespace, pods, windows):
                answer = session.ask(question.query, at_s, deadline)
                rows.add(question.figure, series_of(answer, "vector"), question.asked.holds)
            return Screening(rows.rows(), windows, at_s)

        return await self._run(connection, fetch)

    async def read(  # noqa: PLR0913 - four of them say which samples, and what else is wanted is named
        self,
        connection: str,
        namespace: str,
        pods: Sequence[str],
        span: Span,
        at_s: float,
        like: Sequence[PodPattern] = (),
        *,
        load_metric: str | None = None,
    ) -> Reading:
        """Return the series of these pods, and of all that are named like them, in the span that ends at `at_s`.

        An empty Reading is an answer. Raises PrometheusUnavailable, or Stalled for a broken connection.
        """
        wanted = Wanted(namespace, tuple(pods), tuple(like), span, round(at_s, 3), load_metric)

        def fetch(session: PrometheusSession, deadline: Deadline) -> Reading:
            rows = Rows(namespace)
            for question in query_plan.of_read(wanted):
                answer = session.ask(question.query, question.at_s, deadline)
                rows.add(question.column, series_of(answer, "matrix"), question.window, question.asked.holds)
            return Reading(rows.rows(), wanted.at_s)

        return await self._run(connection, fetch)

    async def in_flight(self, connection: str, namespace: str, pod: str, metric: str, since_s: float) -> float | None:
        """Return what a gauge says of a pod, summed up; None where a sample of it is not newer than `since_s`.

        Raises as `read` does.
        """

        def fetch(session: PrometheusSession, deadline: Deadline) -> float | None:
            total, oldest = (
                next((number_of(row.get("value")) for row in series_of(session.ask(q, None, deadline), "vector")), None)
                for q in promql.of_pod_gauge(metric, namespace, pod)
            )
            return total if oldest is not None and oldest > since_s else None

        return await self._run(connection, fetch)

    async def ping(self, connection: str) -> None:
        """Return when the connection answers a query; raises as `read` does."""

        def fetch(session: PrometheusSession, deadline: Deadline) -> None:
            found = list(series_of(session.ask(promql.ALIVE, None, deadline), "vector"))
            if len(found) != 1:
                raise BadAnswer(errors.Reason.BAD_RESPONSE, f"answered {promql.ALIVE} with {len(found)} series")

        await self._run(connection, fetch)

    def close(self) -> None:
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _current(self) -> Connections:
        return self._connections if isinstance(self._connections, Connections) else self._connections()

    async def _run(self, name: str, fetch: Callable[[PrometheusSession, Deadline], T]) -> T:
        connection = self._current().get(name)
        if name not in self._lines:
            self._lines[name] = _Line(self._limits)
        line = self._lines[name]
        deadline = Deadline(connection.timeout_seconds)

        def work() -> T:
            try:
                return fetch(line.session(connection), deadline)
            except BadAnswer as error:
                raise PrometheusUnavailable(error.reason, f"{connection.host} {error.text}") from error

        try:
            async with asyncio.timeout(deadline.left_s + GRACE_S):
                return await asyncio.get_running_loop().run_in_executor(line.threads, copy_context().run, work)
        except TimeoutError:  # it waited for a free thread, or for what no socket timeout bounds, such as DNS
            raise errors.timed_out(connection.host, deadline.after_s) from None


class _Line:
    """The threads of one connection name, and its session for as long as nothing about it changed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.threads = ThreadPoolExecutor(limits.at_once, thread_name_prefix="prometheus")
        self._lock = threading.Lock()
        self._session: PrometheusSession | None = None
        self._made_of: tuple[Connection, Version] | None = None

    def session(self, connection: Connection) -> PrometheusSession:
        """Return the open session, or a new one when the address or one of its files changed."""
        made_of = (connection, version_of(connection.files()))  # before reading them: a later change is seen again
        with self._lock:
            if self._session is None or self._made_of != made_of:
                fresh = PrometheusSession(connection, self._limits)
                if self._session is not None:
                    self._session.close()
                self._session, self._made_of = fresh, made_of
            return self._session

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            self._session.close()
