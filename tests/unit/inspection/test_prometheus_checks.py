"""Preflight of a Prometheus connection, with the values that its queries return."""

from __future__ import annotations

import re

import pytest

from memroll.clients.prometheus import promql
from memroll.errors import PrometheusUnavailableError
from memroll.inspection.checks import CheckState
from memroll.inspection.prometheus_checks import WatchedScope, check_connection

NOW_S = 1_772_366_400.0
SCOPE = WatchedScope(("ai", "web"), 21_600.0)


class Server:
    """Prometheus whose values a test changes."""

    def __init__(self, **values: float) -> None:
        own = {"own": 1.0, "renamed": 0.0}
        measured = {"labeled": 40.0, "twice": 0.0, "samples": 20.0, "age": 600.0}
        self.values = {"clock": NOW_S} | measured | own | values
        self.metrics = dict.fromkeys(
            (promql.RSS, promql.WORKING_SET, promql.CPU, promql.OOMS, promql.ACTIVE_FILE, promql.SWAP), 40.0
        )
        self.namespaces = ["ai", "web"]
        self.queries: list[str] = []

    def __call__(self, expression: str):
        self.queries.append(expression)
        if expression.startswith("count by (namespace)"):
            return [({"namespace": n}, 1.0) for n in self.namespaces]
        if expression.startswith("topk"):
            samples = self.values["samples"]
            return [({"namespace": "ai", "pod": "chat", "container": "app"}, samples)] if samples else []
        number = self._number(expression)
        return [({}, number)] if number else []

    def _number(self, expression: str) -> float:
        rules = {
            r"vector\(1\)": 1.0,
            r"vector\(time": self.values["clock"],
            r"count\(count by": self.values["twice"],
            r'max\(time\(\) - min_over_time\(timestamp.*pod="chat"': self.values["age"],
            r"count\(memroll_build_info": self.values["own"],
            r'count\(memroll_policy_info{.*exported_namespace!=""': self.values["renamed"],
            r'count\(.*namespace!=""': self.values["labeled"],
        }
        for pattern, value in rules.items():
            if re.match(pattern, expression):
                return value
        return self.metrics[re.match(r"count\((\w+)", expression)[1]]


def run(server, scope: WatchedScope = SCOPE, match_labels=None):
    items = check_connection("default", server, match_labels or {}, scope, lambda: NOW_S)
    return {item.name.removeprefix("Prometheus default").removeprefix(": "): item for item in items}


def test_everything_that_memroll_needs_is_there():
    found = run(Server())
    assert {item.state for item in found.values()} == {CheckState.OK}
    assert list(found) == ["", "clock", "series", "labels", "scrapes", "namespaces", "memroll"]
    assert found["scrapes"].message == "every 30s"
    assert found["series"].message == "40 containers"


def test_every_query_has_the_labels_of_the_connection():
    server = Server()
    run(server, match_labels={"cluster": "eu"})
    assert [q for q in server.queries if 'cluster="eu"' not in q] == ["vector(1)", "vector(time())"]


@pytest.mark.parametrize(
    ("changes", "name", "state", "words"),
    [
        ({"clock": NOW_S - 300}, "clock", CheckState.WARNING, "5m behind this machine"),
        ({"clock": NOW_S + 90}, "clock", CheckState.WARNING, "90s ahead of this machine"),
        ({"labeled": 30.0}, "labels", CheckState.FAILED, "10 of 40 series have no label namespace or pod"),
        ({"twice": 3.0}, "labels", CheckState.WARNING, "3 containers have several series: set matchLabels"),
        ({"samples": 0.0}, "scrapes", CheckState.FAILED, "no sample in the last 10m"),
        ({"samples": 0.0, "age": 0.0}, "scrapes", CheckState.FAILED, "no sample in the last 10m"),
        ({"samples": 4.0, "age": 20.0}, "scrapes", CheckState.OK, "every 5s"),
        ({"samples": 4.0, "age": 3000.0}, "scrapes", CheckState.OK, "every 2m"),
        ({"own": 0.0}, "memroll", CheckState.SKIPPED, "scrape memroll (metrics.serviceMonitor)"),
        ({"renamed": 2.0}, "memroll", CheckState.WARNING, "scrape memroll with honor_labels: true"),
    ],
)
def test_a_value_that_is_not_usable_is_reported_with_the_remedy(changes, name, state, words):
    item = run(Server(**changes))[name]
    assert item.state is state
    assert words in item.message


@pytest.mark.parametrize("metric", [promql.RSS, promql.WORKING_SET])
def test_without_a_required_metric_nothing_else_is_checked(metric):
    server = Server()
    server.metrics[metric] = 0.0
    found = run(server)
    assert list(found) == ["", "clock", "series"]
    assert found["series"].state is CheckState.FAILED
    assert f"no {metric}: scrape /metrics/cadvisor" in found["series"].message


def test_a_missing_optional_metric_is_a_warning_with_its_effect():
    server = Server()
    server.metrics[promql.SWAP] = 0.0
    found = run(server)
    assert found["series"].state is CheckState.WARNING
    assert found["series"].message == f"no {promql.SWAP}: swapped memory is not seen"
    assert found["labels"].state is CheckState.OK


def test_a_watched_namespace_without_series_is_named():
    server = Server()
    server.namespaces = ["ai"]
    found = run(server)["namespaces"]
    assert found.state is CheckState.WARNING
    assert found.message.startswith("no series of namespace web:")


def test_without_policies_neither_namespaces_nor_a_window_are_checked():
    found = run(Server(samples=0.25), WatchedScope())
    assert "namespaces" not in found
    assert found["scrapes"].state is CheckState.OK


def test_an_unreachable_server_is_the_only_result():
    def refuse(_):
        raise PrometheusUnavailableError("Unreachable", "prometheus:9090 can't be reached")

    found = run(refuse)
    assert list(found) == [""]
    assert (found[""].state, found[""].message) == (CheckState.FAILED, "prometheus:9090 can't be reached")


def test_a_server_that_fails_in_between_is_reported():
    server = Server()

    def fail_later(expression: str):
        if "topk" in expression:
            raise PrometheusUnavailableError("Timeout", "no answer")
        return server(expression)

    assert list(run(fail_later).values())[-1].message == "no answer"
