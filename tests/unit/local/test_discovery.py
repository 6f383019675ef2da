from typing import Any

import pytest

from localcluster.discovery import make_targets


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
            pod(PORT, DECLARED), [target("10.231.0.20:9100", "chat")], id="the container of the annotated port"
        ),
        pytest.param(
            pod(SCRAPE, DECLARED),
            [target("10.231.0.20:8080", "chat"), target("10.231.0.20:9100", "chat")],
            id="every declared port without an annotated one",
        ),
        pytest.param(pod(PORT, []), [target("10.231.0.20:9100", "proxy")], id="an undeclared port"),
        pytest.param(pod(SCRAPE, []), [], id="no port"),
        pytest.param(pod(SCRAPE, [{"containerPort": 53, "protocol": "UDP"}]), [], id="UDP"),
        pytest.param(
            pod({**PORT, "prometheus.io/path": "/m", "prometheus.io/scheme": "https"}, DECLARED),
            [target("10.231.0.20:9100", "chat", __metrics_path__="/m", __scheme__="https")],
            id="path and scheme",
        ),
        pytest.param(pod(None, DECLARED), [], id="no annotations"),
        pytest.param(pod({"prometheus.io/scrape": "false"}, DECLARED), [], id="annotated with false"),
        pytest.param(pod(PORT, DECLARED, podIP=""), [], id="no address yet"),
        pytest.param(pod(PORT, DECLARED, phase="Succeeded"), [], id="a finished pod"),
    ],
)
def test_targets_of_a_pod(given: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert make_targets([given]) == expected
