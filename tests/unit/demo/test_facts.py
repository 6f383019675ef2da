from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from memroll_demo import news
from memroll_demo.facts import Facts, as_bytes
from memroll_demo.oom import OomKills
from memroll_demo.site import CommandError
from memroll_demo.stage import Stage

MIB = 2**20
POD = "leaky-8588b666c8-z4mbn"


class Prometheus:
    """Answers instant queries with the samples that a test sets, by metric name."""

    def __init__(self) -> None:
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        self.queries: list[str] = []

    def answer(self, query: str) -> bytes:
        self.queries.append(query)
        rows = self.samples.get(query.partition("{")[0], [])
        return json.dumps({"data": {"result": [{"metric": m, "value": [0, str(v)]} for m, v in rows]}}).encode()


class Cluster:
    """Stands in for a Site: answers `get` and the load's log."""

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
    return Cluster(prometheus.url)


@pytest.fixture
def facts(cluster):
    return Facts(Stage(cluster, services=("leaky", "control")))


def pod(name: str = POD, *, container: str = "c1", limit: str = "128Mi", **states: Any) -> dict[str, Any]:
    status = {"name": "app", "containerID": f"containerd://{container}"} | (states or {"state": {"running": {}}})
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": news.service_of(name)}},
        "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": limit}}}]},
        "status": {"containerStatuses": [status]},
    }


def killed(container: str, reason: str = "OOMKilled", where: str = "lastState") -> dict[str, Any]:
    return {where: {"terminated": {"reason": reason, "containerID": container}}}


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


def test_oom_kills_count_each_instance_once_and_outlive_their_pod():
    kills = OomKills()
    for status in (killed("a"), killed("a"), killed("b", where="state"), killed("c", reason="Error")):
        kills.see_pod("leaky", pod(**status))
    assert kills.of("leaky") == 2
    assert kills.of("other") == 0


def test_the_witness_that_saw_more_oom_kills_is_believed():
    kills = OomKills()
    kills.see_pod("leaky", pod(**killed("a")))
    for container, count in (("a", 1), ("b", 1), ("b", 2), ("b", 1)):
        kills.see_event_count("leaky", container, count)
    assert kills.of("leaky") == 3


def test_a_killed_pod_that_is_gone_stays_counted_and_is_told_once(facts, cluster):
    cluster.objects["memroll-demo"] = [pod(state={"terminated": {"reason": "OOMKilled", "containerID": "c1"}})]
    assert facts.look() == ["leaky: a container was OOM-killed"]
    cluster.objects["memroll-demo"] = [pod("leaky-8588b666c8-new11", container="c2")]
    assert facts.look() == []
    assert facts.services["leaky"].oom_kills == 1


def test_a_kill_that_only_the_kernel_told_of_counts(facts, prometheus):
    prometheus.samples["container_oom_events_total"] = [
        ({"pod": POD, "name": "c1"}, 1),
        ({"pod": POD, "name": "c2"}, 0),
    ]
    assert facts.look() == ["leaky: a container was OOM-killed"]
    prometheus.samples.clear()
    facts.look()
    assert facts.services["leaky"].oom_kills == 1


def test_memory_is_a_share_of_the_limit_and_only_of_running_instances(facts, cluster, prometheus):
    cluster.objects["memroll-demo"] = [pod(limit="256Mi")]
    prometheus.samples["container_memory_working_set_bytes"] = [
        ({"pod": POD, "name": "c1"}, 64 * MIB),
        ({"pod": POD, "name": "an instance that ended"}, 250 * MIB),
    ]
    facts.look()
    assert facts.services["leaky"].shares == [0.25]
    ended = pod(limit="256Mi", state={"terminated": {"reason": "Completed"}})
    for gone in ([ended], []):
        cluster.objects["memroll-demo"] = [*gone, pod("leaky-8588b666c8-nsx2n", container="c2")]
        prometheus.samples["container_memory_working_set_bytes"][1] = (
            {"pod": "leaky-8588b666c8-nsx2n", "name": "c2"},
            0,
        )
        facts.look()
        assert facts.services["leaky"].shares == [0.0]
    assert 'namespace=~"memroll-demo|memroll-demo-control",container="app"' in prometheus.queries[0]


def test_a_roll_is_told_phase_by_phase_and_counted_when_it_succeeded(facts, cluster):
    newcomer = {"replacement": {"name": "leaky-8588b666c8-nsx2n"}}
    newcomer["message"] = "replaced by leaky-8588b666c8-nsx2n"
    told = []
    for step in (roll("Announced"), roll("Replacing"), roll("Evicting", **newcomer), roll("Evicting", **newcomer),
                 roll("Succeeded", **newcomer)):  # fmt: skip
        cluster.objects["memroll-demo"] = [step]
        told.append(facts.look())
        assert facts.services["leaky"].rolls_begun == 1
    assert told == [
        [f"rolling {POD}: 105 MiB of 128 MiB"],
        [],
        [f"replacement leaky-8588b666c8-nsx2n is Ready: evicting {POD}"],
        [],
        [f"rolled {POD}: replaced by leaky-8588b666c8-nsx2n"],
    ]
    assert (facts.services["leaky"].rolls, facts.services["leaky"].rolls_failed) == (1, 0)


@pytest.mark.parametrize("end", ["Failed", "Aborted"])
def test_a_roll_that_came_to_nothing_is_told_with_its_reason_and_not_counted_as_a_roll(facts, cluster, end):
    cluster.objects["memroll-demo"] = [roll(end, message="the replacement was not Ready in 60 s")]
    assert facts.look()[-1] == f"NOT rolled {POD}: the replacement was not Ready in 60 s"
    assert (facts.services["leaky"].rolls, facts.services["leaky"].rolls_begun) == (0, 1)
    assert facts.services["leaky"].rolls_failed == (end == "Failed")


def test_a_leak_is_told_once(facts, cluster):
    near = {"pod": POD, "verdict": "Breach", "timeToLimitSeconds": 72, "growthBytesPerHour": 1980 * MIB}
    cluster.objects["memroll-demo"] = [{"kind": "MemoryPolicy", "status": {"nearest": [near]}}]
    assert facts.look() == [f"{POD} leaks 33 MiB a minute: full in 72 s, to be rolled just before"]
    near["timeToLimitSeconds"] = 60
    assert facts.look() == []
    assert facts.services["leaky"].verdict == "leaks, limit in 60s"


def test_lost_requests_are_told_when_no_more_are_being_lost(facts, cluster):
    told = []
    for line in (totals(100), totals(140, 30), totals(180, 50), totals(220, 50), totals(260, 50)):
        cluster.log.append(line)
        told.append(facts.look())
    assert told == [[], [], [], ["control: 50 requests failed"], []]
    control = facts.services["control"]
    assert (control.requests, control.failures, control.longest_outage_s, control.p99_ms) == (260, 50, 2.5, 7)


def test_a_cluster_that_does_not_answer_for_a_moment_does_not_end_the_run(facts, cluster):
    cluster.objects["memroll-demo"] = [roll("Succeeded")]
    facts.look()
    cluster.broken = "kubectl get exited with 1:\nthe server is busy"
    assert [facts.look(), facts.look()] == [["could not look at the cluster: the server is busy"], []]
    assert facts.services["leaky"].rolls == 1
    cluster.broken = ""
    cluster.objects["memroll-demo"].append(roll("Succeeded", "leaky-8588b666c8-nsx2n"))
    facts.look()
    assert facts.services["leaky"].rolls == 2


@pytest.mark.parametrize(("written", "read"), [("128Mi", 128 * MIB), ("1Gi", 2**30), ("4096", 4096), ("", 0)])
def test_a_limit_is_read_as_the_api_server_writes_it(written, read):
    assert as_bytes(written) == read
