from typing import Any

import pytest

from localcluster.discovery import targets


def pod(annotations: dict[str, str] | None, ports: list[dict[str, Any]], **status: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "ai", "name": "chat-1", "annotations": annotations},
        "spec": {"containers": [{"name": "proxy"}, {"name": "chat", "ports": ports}]},
        "status": {"podIP": "10.231.0.20", "phase": "Running", **status},
    }


def target(address: str, container: str, **extra: str) -> dict[str, Any]:
    return {"targets": [address], "labels": {"namespace": "ai", "pod": "chat-1", "container": container, **extra}}


SCRAPE = {"prometheus.io/scrape": "true"}
PORT = {**SCRAPE, "prometheus.io/port": "9100"}
DECLARED = [{"containerPort": 8080}, {"containerPort": 9100}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            pod(PORT, DECLARED), [target("10.231.0.20:9100", "chat")], id="takes the annotated port's container"
        ),
        pytest.param(
            pod(SCRAPE, DECLARED),
            [target("10.231.0.20:8080", "chat"), target("10.231.0.20:9100", "chat")],
            id="takes every declared port when none is named",
        ),
        pytest.param(pod(PORT, []), [target("10.231.0.20:9100", "proxy")], id="believes an undeclared port"),
        pytest.param(pod(SCRAPE, []), [], id="has no target without any port"),
        pytest.param(pod(SCRAPE, [{"containerPort": 53, "protocol": "UDP"}]), [], id="passes over UDP"),
        pytest.param(
            pod({**PORT, "prometheus.io/path": "/m", "prometheus.io/scheme": "https"}, DECLARED),
            [target("10.231.0.20:9100", "chat", __metrics_path__="/m", __scheme__="https")],
            id="hands on path and scheme",
        ),
        pytest.param(pod(None, DECLARED), [], id="leaves pods without annotations alone"),
        pytest.param(pod({"prometheus.io/scrape": "false"}, DECLARED), [], id="leaves pods that say false alone"),
        pytest.param(pod(PORT, DECLARED, podIP=""), [], id="waits for an address"),
        pytest.param(pod(PORT, DECLARED, phase="Succeeded"), [], id="drops finished pods"),
    ],
)
def test_targets_of_a_pod(given: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert targets([given]) == expected
