"""Observations of a running demo, with a fake cluster and Prometheus."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from memroll_demo.cluster import CommandError
from memroll_demo.observations import Observations, as_bytes
from memroll_demo.scenario import DemoScenario
from tests.unit.demo.builders import POD, pod

MIB = 2**20


class Prometheus:
    """Fake Prometheus that answers instant queries with the samples set by a test, by metric name."""

    def __init__(self) -> None:
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        self.queries: list[str] = []

    def answer(self, query: str) -> bytes:
        self.queries.append(query)
        rows = self.samples.get(query.partition("{")[0], [])
        return json.dumps({"data": {"result": [{"metric": m, "value": [0, str(v)]} for m, v in rows]}}).encode()


class FakeCluster:
    """Fake of DemoCluster: objects for `get`, and the load's log."""

    def __init__(self, prometheus_url: str) -> None:
        self.prometheus_url = prometheus_url
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.log: list[dict[str, Any]] = []
        self.broken = ""

    def get(self, kinds: str, namespace: str) -> list[dict[str, Any]]:
        if self.broken:
            raise CommandError(self.broken)
        return self.objects.get(namespace, [])

    def kubectl(self, *arguments: str) -> str:
        assert arguments == ("logs", "load", "-n", "memroll-demo-load", "--tail=1")
        return "".join(f"{json.dumps(line)}\n" for line in self.log[-1:])


@pytest.fixture
def prometheus():
    answering = Prometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answering.answer(parse_qs(urlsplit(self.path).query)["query"][0])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    answering.url = f"http://127.0.0.1:{server.server_port}"
    yield answering
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cluster(prometheus):
    return FakeCluster(prometheus.url)


@pytest.fixture
def observations(cluster):
    return Observations(DemoScenario(cluster, services=("leaky", "control")))


def roll(phase: str, pod_name: str = POD, **status: Any) -> dict[str, Any]:
    return {
        "kind": "PodRoll",
        "metadata": {"name": f"{pod_name}-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"podName": pod_name, "reason": "app: 105 MiB of 128 MiB"},
        "status": {"phase": phase} | status,
    }


def totals(requests: int, failures: int = 0) -> dict[str, Any]:
    service = {"requests": requests, "failures": failures, "kinds": {"TimeoutError": failures} if failures else {}}
    return {"control": service | {"longest_outage_s": failures / 20, "p99_ms": 7, "slowest_ms": 80}}


def test_the_kill_of_a_deleted_pod_stays_counted_and_is_reported_once(observations, cluster):
    cluster.objects["memroll-demo"] = [pod(state={"terminated": {"reason": "OOMKilled", "containerID": "c1"}})]
    assert observations.observe() == ["leaky: a container was OOM-killed"]
    cluster.objects["memroll-demo"] = [pod("leaky-8588b666c8-new11", container="c2")]
    assert observations.observe() == []
    assert observations.services["leaky"].oom_kills == 1


def test_a_kill_that_only_the_kernel_counted_is_reported(observations, prometheus):
    prometheus.samples["container_oom_events_total"] = [
        ({"pod": POD, "name": "c1"}, 1),
        ({"pod": POD, "name": "c2"}, 0),
    ]
    assert observations.observe() == ["leaky: a container was OOM-killed"]
    prometheus.samples.clear()
    observations.observe()
    assert observations.services["leaky"].oom_kills == 1


def test_memory_is_a_ratio_of_the_limit_and_only_of_running_containers(observations, cluster, prometheus):
    cluster.objects["memroll-demo"] = [pod(limit="256Mi")]
    prometheus.samples["container_memory_working_set_bytes"] = [
        ({"pod": POD, "name": "c1"}, 64 * MIB),
        ({"pod": POD, "name": "an instance that ended"}, 250 * MIB),
    ]
    observations.observe()
    assert observations.services["leaky"].usage_ratios == [0.25]
    ended = pod(limit="256Mi", state={"terminated": {"reason": "Completed"}})
    for gone in ([ended], []):
        cluster.objects["memroll-demo"] = [*gone, pod("leaky-8588b666c8-nsx2n", container="c2")]
        prometheus.samples["container_memory_working_set_bytes"][1] = (
            {"pod": "leaky-8588b666c8-nsx2n", "name": "c2"},
            0,
        )
        observations.observe()
        assert observations.services["leaky"].usage_ratios == [0.0]
    assert 'namespace=~"memroll-demo|memroll-demo-control",container="app"' in prometheus.queries[0]


def test_a_roll_is_reported_by_phase_and_counted_when_it_succeeded(observations, cluster):
    replaced = {"replacement": {"name": "leaky-8588b666c8-nsx2n"}}
    replaced["message"] = "replaced by leaky-8588b666c8-nsx2n"
    lines = []
    for step in (roll("Announced"), roll("Replacing"), roll("Evicting", **replaced), roll("Evicting", **replaced),
                 roll("Succeeded", **replaced)):  # fmt: skip
        cluster.objects["memroll-demo"] = [step]
        lines.append(observations.observe())
        assert observations.services["leaky"].rolls_begun == 1
    assert lines == [
        [f"rolling {POD}: 105 MiB of 128 MiB"],
        [],
        [f"replacement leaky-8588b666c8-nsx2n is Ready: evicting {POD}"],
        [],
        [f"rolled {POD}: replaced by leaky-8588b666c8-nsx2n"],
    ]
    assert (observations.services["leaky"].rolls, observations.services["leaky"].rolls_failed) == (1, 0)


@pytest.mark.parametrize("end", ["Failed", "Aborted"])
def test_an_unsuccessful_roll_is_reported_with_its_message_and_not_counted_as_a_roll(observations, cluster, end):
    cluster.objects["memroll-demo"] = [roll(end, message="the replacement was not Ready in 60 s")]
    assert observations.observe()[-1] == f"NOT rolled {POD}: the replacement was not Ready in 60 s"
    assert (observations.services["leaky"].rolls, observations.services["leaky"].rolls_begun) == (0, 1)
    assert observations.services["leaky"].rolls_failed == (end == "Failed")


def test_a_leak_is_reported_once(observations, cluster):
    near = {"pod": POD, "verdict": "Leaking", "timeToLimitSeconds": 72, "growthBytesPerHour": 1980 * MIB}
    cluster.objects["memroll-demo"] = [{"kind": "MemoryPolicy", "status": {"atRisk": [near]}}]
    assert observations.observe() == [f"{POD} leaks 33 MiB a minute: full in 72 s, to be rolled just before"]
    near["timeToLimitSeconds"] = 60
    assert observations.observe() == []
    assert observations.services["leaky"].verdict == "leaks, limit in 60s"


def test_failed_requests_are_reported_once_no_further_ones_fail(observations, cluster):
    lines = []
    for line in (totals(100), totals(140, 30), totals(180, 50), totals(220, 50), totals(260, 50)):
        cluster.log.append(line)
        lines.append(observations.observe())
    assert lines == [[], [], [], ["control: 50 requests failed"], []]
    control = observations.services["control"]
    assert (control.requests, control.failures, control.longest_outage_s, control.p99_ms) == (260, 50, 2.5, 7)


def test_a_temporarily_unreachable_cluster_does_not_end_the_demo(observations, cluster):
    cluster.objects["memroll-demo"] = [roll("Succeeded")]
    observations.observe()
    cluster.broken = "kubectl get exited with 1:\nthe server is busy"
    assert [observations.observe(), observations.observe()] == [["cluster unreachable: the server is busy"], []]
    assert observations.services["leaky"].rolls == 1
    cluster.broken = ""
    cluster.objects["memroll-demo"].append(roll("Succeeded", "leaky-8588b666c8-nsx2n"))
    observations.observe()
    assert observations.services["leaky"].rolls == 2


@pytest.mark.parametrize(("written", "read"), [("128Mi", 128 * MIB), ("1Gi", 2**30), ("4096", 4096), ("", 0)])
def test_a_limit_is_parsed_as_written_by_the_api_server(written, read):
    assert as_bytes(written) == read
