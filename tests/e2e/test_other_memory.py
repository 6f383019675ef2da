"""Memory outside of the process on a real node: a memory volume that fills up, and page cache that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import oom_kills, wait_ready
from tests.soak.kubectl_proxy import query_prometheus

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

LIMIT_MIB = 128
NEARLY_FULL_RATIO = 0.9
FILE_MIB_PER_SECOND = 0.8


def service_with_file(namespace: str, name: str, image: str, medium: str) -> list[dict[str, Any]]:
    """Return a service that writes a file into a volume of this medium all the time."""
    rate = str(int(FILE_MIB_PER_SECOND * 1024))
    workload, *_ = objects.deployment(namespace, name, image, FILE="/data/file", FILE_KIB_PER_SECOND=rate)
    spec = workload["spec"]["template"]["spec"]
    spec["volumes"].append({"name": "data", "emptyDir": {"medium": medium} if medium else {}})
    spec["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return [workload]


def greatest_bytes(cluster: DemoCluster, namespace: str, pod: str, metric: str) -> float:
    promql = f'max_over_time({metric}{{namespace="{namespace}",pod="{pod}",container="app"}}[5m])'
    return max((value for _, value in query_prometheus(cluster, promql)), default=0.0)


@pytest.mark.area("othermemory")
@pytest.mark.needs_kubernetes("1.32", "container_memory_total_active_file_bytes")
def test_a_full_memory_volume_is_reported_and_page_cache_is_ignored(cluster, namespace, service_image):
    cluster.apply(
        *service_with_file(namespace, "volume", service_image, medium="Memory"),
        *service_with_file(namespace, "cache", service_image, medium=""),
        objects.policy(namespace, "volume"),
        objects.policy(namespace, "cache"),
    )
    (cache,) = wait_ready(cluster, namespace, "cache")

    def reported() -> list[str]:
        events = cluster.events(namespace, "Pod")
        return [message for reason, message in events if reason == "OtherMemoryGrows"]

    messages = wait_for("the event OtherMemoryGrows", reported, timeout_s=240)
    assert all("a memory volume, kernel memory or page tables" in message for message in messages), messages
    assert "page cache, of which" not in messages[0]

    def is_cache_full() -> bool:
        used = greatest_bytes(cluster, namespace, cache, "container_memory_working_set_bytes")
        return used > NEARLY_FULL_RATIO * LIMIT_MIB * objects.MIB

    wait_for("page cache up to the limit", is_cache_full, timeout_s=240)
    assert greatest_bytes(cluster, namespace, cache, "container_memory_total_active_file_bytes") > 0
    assert [m for m in reported() if cache in m] == []
    assert oom_kills(cluster, namespace, "cache") == 0
    assert cluster.rolls(namespace) == [], "files in a volume may be there on purpose"
