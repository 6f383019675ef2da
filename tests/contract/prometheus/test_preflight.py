"""The preflight's queries on real servers: what is recorded passes, and faults of the labels are found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.config import Connection
from memroll.clients.prometheus.promql import RSS, WORKING_SET
from memroll.inspection.checks import CheckState
from memroll.inspection.prometheus_checks import WatchedScope, check_connection, query_connection
from tests.contract.prometheus.sample_history import SampleHistory, ramp, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.inspection.checks import CheckItem
    from tests.contract.prometheus.stores import Store

SCOPE = WatchedScope(("ai",), 21_600.0)


@pytest.fixture(scope="module")
def address(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    past, now_s = SampleHistory(), int(time.time()) - 5  # noqa: TID251 - the server's own clock
    for pod, more in (("chat-1", {"cluster": "eu"}), ("chat-2", {"cluster": "eu"}), ("chat-1", {"cluster": "us"})):
        record(past, pod, pod[-1] * 64, ramp(now_s - 900, now_s, 15.0), group="all", **more)
    for metric in (RSS, WORKING_SET):
        past.add(metric, {"namespace": "ai", "container": "lost", "cluster": "us"}, ramp(now_s - 900, now_s, 15.0))
    for cluster, label in (("eu", "namespace"), ("us", "exported_namespace")):
        past.add("memroll_build_info", {"cluster": cluster}, ramp(now_s - 900, now_s, 15.0))
        past.add("memroll_policy_info", {label: "ai", "cluster": cluster}, ramp(now_s - 900, now_s, 15.0))
    with store.serving(past, tmp_path_factory.mktemp("store")) as found:
        yield found


def preflight(address: str, scope: WatchedScope = SCOPE, **labels: str) -> dict[str, CheckItem]:
    connection = Connection.model_validate({"url": f"http://{address}", "timeoutSeconds": 10.0, "matchLabels": labels})
    with query_connection(connection) as query:
        items = check_connection("default", query, labels, scope, time.time)  # noqa: TID251 - the server's own clock
    return {item.name.removeprefix("Prometheus default").removeprefix(": "): item for item in items}


def test_one_cluster_of_a_store_passes(address: str) -> None:
    found = preflight(address, cluster="eu")
    states = {name: item.state for name, item in found.items()}
    assert states == {
        "": CheckState.OK,
        "clock": CheckState.OK,
        "series": CheckState.WARNING,
        "labels": CheckState.OK,
        "scrapes": CheckState.OK,
        "namespaces": CheckState.OK,
        "memroll": CheckState.OK,
    }
    assert "no container_memory_swap: swapped memory is not seen" in found["series"].message
    assert found["scrapes"].message == "every 15s"


def test_a_scrape_that_renames_the_namespace_of_policies_is_found(address: str) -> None:
    (found,) = (item for name, item in preflight(address, cluster="us").items() if name == "memroll")
    assert found.state is CheckState.WARNING
    assert found.message.endswith("scrape memroll with honor_labels: true")


def test_a_store_of_several_clusters_is_found(address: str) -> None:
    (found,) = (item for name, item in preflight(address, group="all").items() if name == "labels")
    assert found.message == "1 containers have several series: set matchLabels for a store of several clusters"


def test_faults_are_found(address: str) -> None:
    assert "1 of 2 series have no label namespace or pod" in preflight(address, cluster="us")["labels"].message
    assert (
        "no series of namespace web"
        in preflight(address, WatchedScope(("ai", "web")), cluster="eu")["namespaces"].message
    )
    assert "no container_memory_rss" in preflight(address, cluster="none")["series"].message
