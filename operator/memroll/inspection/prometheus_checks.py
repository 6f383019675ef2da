"""Preflight of one Prometheus connection: reachable, clock, series, labels, scrape interval, watched namespaces."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.quantity import humanize_duration
from memroll.clients.prometheus import promql
from memroll.clients.prometheus.promql import Matcher, MatchOperator
from memroll.clients.prometheus.response import BadResponseError, iter_series, parse_labels, parse_number
from memroll.clients.prometheus.session import Limits, PrometheusSession
from memroll.clients.prometheus.timeout import Timeout
from memroll.detection.lower_envelope import MIN_BINS, SAMPLES_PER_BIN
from memroll.errors import MemrollError, PrometheusUnavailableError
from memroll.inspection.checks import failed, from_error, ok, skipped, warning
from memroll.inspection.cluster_checks import MAX_NAMED, clock_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from memroll.clients.prometheus.config import Connection
    from memroll.inspection.checks import CheckItem

    Vector = Sequence[tuple[dict[str, str], float]]
    """Labels and value of each series of a response."""
    Query = Callable[[str], Vector]
    """Function that evaluates an expression now; raises PrometheusUnavailableError."""

REQUIRED = (promql.RSS, promql.WORKING_SET)
"""Metrics without which no container is assessed."""
OPTIONAL = {
    promql.CPU: "growth that follows the load can't be explained by it",
    promql.OOMS: "OOM kills are counted by the pod's status alone",
    promql.ACTIVE_FILE: "page cache counts as memory near the limit",
    promql.SWAP: "swapped memory is not seen",
}
"""Metrics that are used if there are any, and the effect of their absence."""
OWN = "memroll_build_info"
"""Metric of memroll itself that is there whatever its policies are."""
OWN_OF_POLICY = "memroll_policy_info"
"""Metric of memroll itself with the namespace of a policy as a label."""
INTERVAL_RANGE = "10m"
INTERVAL_RANGE_S = 600.0
"""The same range, in seconds."""
AGE_STEP = "5s"
"""Resolution at which the first sample of one container is searched; chosen by hand."""
MIN_SAMPLES = MIN_BINS * SAMPLES_PER_BIN
"""Minimum number of samples in a window, as an assessment needs them."""


@dataclass(frozen=True, slots=True)
class WatchedScope:
    """Namespaces and windows of the policies of a connection."""

    namespaces: tuple[str, ...] = ()
    min_window_s: float | None = None
    """Shortest `growth.window`, in seconds; None without policies."""


@contextmanager
def query_connection(connection: Connection) -> Iterator[Query]:
    """Yield the function that queries a connection, and close its session afterwards."""
    session = PrometheusSession(connection, Limits())

    def query(expression: str) -> Vector:
        text = session.query(expression, None, Timeout(connection.timeout_seconds))
        try:
            found = ((parse_labels(raw), parse_number(raw.get("value"))) for raw in iter_series(text, "vector"))
            return [(labels, number) for labels, number in found if number is not None]
        except BadResponseError as error:
            raise PrometheusUnavailableError(error.reason, f"{connection.host} {error.text}") from error

    try:
        yield query
    finally:
        session.close()


def check_connection(
    name: str, query: Query, match_labels: Mapping[str, str], scope: WatchedScope, now_s: Callable[[], float]
) -> tuple[CheckItem, ...]:
    """Return the results of one connection. If it is not reachable, there is only that one."""
    title = f"Prometheus {name}"
    try:
        query(promql.ALIVE)
    except MemrollError as error:
        return (from_error(title, error),)
    preflight = _Preflight(title, query, match_labels, scope)
    try:
        return (ok(title, "reachable"), *preflight.run(now_s))
    except MemrollError as error:
        return (from_error(title, error),)


@dataclass(frozen=True, slots=True)
class _Preflight:
    title: str
    query: Query
    match_labels: Mapping[str, str]
    scope: WatchedScope

    def run(self, now_s: Callable[[], float]) -> Iterator[CheckItem]:
        yield clock_item(f"{self.title}: clock", self._number("vector(time())") - now_s())
        counts = {metric: self._number(f"count({self._series(metric)})") for metric in (*REQUIRED, *OPTIONAL)}
        yield self._check_series(counts)
        if not all(counts[metric] for metric in REQUIRED):
            return
        yield self._check_labels(counts[promql.RSS])
        yield self._check_interval()
        if self.scope.namespaces:
            yield self._check_namespaces()
        yield self._check_own_metrics()

    def _series(self, metric: str, *matchers: Matcher) -> str:
        return self._select(metric, Matcher("container", MatchOperator.NOT_EQUAL, ""), *matchers)

    def _select(self, metric: str, *matchers: Matcher) -> str:
        fixed = (Matcher(label, MatchOperator.EQUAL, value) for label, value in self.match_labels.items())
        return f"{metric}{{{','.join(map(str, (*fixed, *matchers)))}}}"

    def _number(self, expression: str) -> float:
        """Return the value of an expression with one series; 0 without any."""
        return next((number for _, number in self.query(expression)), 0.0)

    def _check_series(self, counts: Mapping[str, float]) -> CheckItem:
        name = f"{self.title}: series"
        missing = [metric for metric in REQUIRED if not counts[metric]]
        if missing:
            labels = f" with {dict(self.match_labels)}" if self.match_labels else ""
            message = (
                f"no {' and no '.join(missing)}{labels}: scrape /metrics/cadvisor of the kubelets, keep these metrics"
            )
            return failed(name, message)
        absent = [f"no {metric}: {effect}" for metric, effect in OPTIONAL.items() if not counts[metric]]
        if absent:
            return warning(name, "; ".join(absent))
        return ok(name, f"{counts[promql.RSS]:.0f} containers")

    def _check_labels(self, count: float) -> CheckItem:
        name = f"{self.title}: labels"
        present = [Matcher(label, MatchOperator.NOT_EQUAL, "") for label in ("namespace", "pod")]
        unlabeled = count - self._number(f"count({self._series(promql.RSS, *present)})")
        if unlabeled > 0:
            return failed(
                name, f"{unlabeled:.0f} of {count:.0f} series have no label namespace or pod: keep these labels"
            )
        by = "namespace, pod, container, id, name"
        twice = self._number(f"count(count by ({by}) ({self._series(promql.RSS)}) > 1)")
        if twice:
            message = f"{twice:.0f} containers have several series: set matchLabels for a store of several clusters"
            return warning(name, message)
        return ok(name, "namespace, pod and container")

    def _check_interval(self) -> CheckItem:
        name = f"{self.title}: scrapes"
        most = self.query(f"topk(1, count_over_time({self._series(promql.RSS)}[{INTERVAL_RANGE}]))")
        if not most:
            return failed(name, f"no sample in the last {INTERVAL_RANGE}: check the scrape targets")
        labels, samples = most[0]
        interval_s = self._age_s(labels) / max(1.0, samples)
        window_s = self.scope.min_window_s
        if window_s is not None and interval_s > window_s / MIN_SAMPLES:
            few = f"every {humanize_duration(interval_s)}: too few samples in a window of {humanize_duration(window_s)}"
            remedy = "scrape more often, or set a longer growth.window"
            return warning(name, f"{few}, which needs {MIN_SAMPLES}: {remedy}")
        return ok(name, f"every {humanize_duration(interval_s)}")

    def _age_s(self, labels: Mapping[str, str]) -> float:
        """Return the time since the first sample of a container in the range: a container may be younger than it."""
        own = [Matcher(n, MatchOperator.EQUAL, labels[n]) for n in ("namespace", "pod", "container") if n in labels]
        first = f"min_over_time(timestamp({self._series(promql.RSS, *own)})[{INTERVAL_RANGE}:{AGE_STEP}])"
        return min(INTERVAL_RANGE_S, self._number(f"max(time() - {first})") or INTERVAL_RANGE_S)

    def _check_namespaces(self) -> CheckItem:
        name = f"{self.title}: namespaces"
        matcher = Matcher("namespace", MatchOperator.MATCHES, promql.any_of(self.scope.namespaces))
        found = {
            labels.get("namespace")
            for labels, _ in self.query(f"count by (namespace) ({self._series(promql.RSS, matcher)})")
        }
        missing = [n for n in self.scope.namespaces if n not in found]
        if missing:
            named = ", ".join(missing[:MAX_NAMED])
            remedy = "it has no pods, or its policies should name another connection"
            return warning(name, f"no series of namespace {named}: {remedy}")
        return ok(name, f"series of all {len(self.scope.namespaces)} with policies")

    def _check_own_metrics(self) -> CheckItem:
        name = f"{self.title}: memroll"
        if not self._number(f"count({self._select(OWN)})"):
            return skipped(name, f"no {OWN}: for alerts and the dashboard, scrape memroll (metrics.serviceMonitor)")
        renamed = Matcher("exported_namespace", MatchOperator.NOT_EQUAL, "")
        if self._number(f"count({self._select(OWN_OF_POLICY, renamed)})"):
            message = (
                "a policy's namespace is in the label exported_namespace, which alerts and the dashboard do not read"
            )
            return warning(name, f"{message}: scrape memroll with honor_labels: true")
        return ok(name, "its metrics are scraped")
