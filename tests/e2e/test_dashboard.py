"""The Grafana dashboard: the Prometheus of the cluster answers each of its queries."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

import pytest

from memroll_demo.cluster import wait_for
from tests import dashboard
from tests.e2e import objects
from tests.e2e.test_rolls import wait_ready

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SOMETIMES_EMPTY = {
    "Last OOM kill", "Time to the limit", "Due pods whose roll is blocked", "Restarts of tasks, and dropped Events",
}  # fmt: skip
"""Panels without data as long as nothing leaks, is killed, is blocked or fails."""


def series_of(cluster: DemoCluster, expression: str) -> int:
    """Return the number of series of an instant query; fail with the server's message if it is refused."""
    url = f"{cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return len(json.load(response)["data"]["result"])
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{expression}: {error.read().decode()}") from error


@pytest.mark.area("dashboard")
def test_every_query_of_the_dashboard_is_answered_and_has_data(cluster, namespace, service_image):
    if not cluster.local:
        pytest.skip("the scrape configuration is that of the local cluster")
    cluster.apply(*objects.deployment(namespace, "chat", service_image))
    wait_ready(cluster, namespace, "chat")
    cluster.apply(objects.policy(namespace, "chat", mode="Observe"))

    of_policy = f'{{namespace="{namespace}"}}'
    for last in (
        f"rate(memroll_reconcile_total{of_policy}[1m])",
        "rate(memroll_prometheus_samples_total[1m])",
        f"container_memory_rss{of_policy}",
    ):
        wait_for(f"data of {last}", lambda query=last: series_of(cluster, query), timeout_s=120)

    answered = {query.panel for query in dashboard.queries(namespace) if series_of(cluster, query.expression)}
    assert {panel["title"] for panel in dashboard.panels()} - answered - SOMETIMES_EMPTY == set()
