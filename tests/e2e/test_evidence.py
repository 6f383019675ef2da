"""Evidence of a roll on a real cluster: lines with growth, logs without secrets, and reasons for missing sections."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import wait_ready
from tests.e2e.test_strategies import roll_by_hand
from tests.hostile_pods import REPORT

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300), pytest.mark.area("evidence")]

REPORTER_PROGRAM = f"""
import http.server, json, sys, time
print("login password=hunter2", flush=True)
REPORT = {json.dumps(json.dumps(REPORT))}
class Pod(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.path == "/drip":
            while True:
                self.wfile.write(b" ")
                time.sleep(0.1)
        self.wfile.write(REPORT.encode() if self.path == "/debug/memory" else b"{{}}")
http.server.ThreadingHTTPServer(("", 8080), Pod).serve_forever()
"""


def run_reporter(cluster: DemoCluster, namespace: str, service_image: str) -> str:
    """Run a pod with a memory report; return its name."""
    program = objects.program(namespace)
    program["metadata"]["name"], program["data"] = "reporter", {"app.py": REPORTER_PROGRAM}
    workload, *rest = copy.deepcopy(objects.deployment(namespace, "reporter", service_image))
    workload["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] = "reporter"
    cluster.apply(program, workload, *rest)
    (pod,) = wait_ready(cluster, namespace, "reporter")
    return str(pod)


@pytest.fixture
def reporter(cluster: DemoCluster, namespace: str, service_image: str) -> str:
    return run_reporter(cluster, namespace, service_image)


def reasons(evidence: dict[str, Any]) -> dict[str, str]:
    return {m["section"]: m["reason"] for m in evidence.get("missing", [])}


def test_the_line_that_grew_is_in_the_podroll_and_in_the_pod_s_events(cluster, namespace, reporter):
    roll = roll_by_hand(cluster, namespace, reporter, evidence={"http": {"port": 8080}})
    evidence = roll["status"]["evidence"]
    assert roll["status"]["phase"] == "Succeeded"
    assert (evidence["probe"]["growth"][0]["file"], evidence["probe"]["growth"][0]["line"]) == ("app/cache.py", 42)
    assert evidence["logs"][0]["lines"][0] == "login password=[redacted]"
    assert reasons(evidence).keys() <= {"series"}, "a young pod may not have been scraped yet"
    assert evidence["tookSeconds"] < 5

    def captured_events() -> list[str]:
        return [m for reason, m in cluster.events(namespace, "Pod", reporter) if reason == "EvidenceCaptured"]

    (message,) = wait_for("the event", captured_events, 30)
    assert message.startswith("app/cache.py:42 +118.0 MiB")


@pytest.mark.parametrize(
    ("http", "message"),
    [
        pytest.param({"port": 8080, "path": "/drip"}, "no complete response in", id="a slow response"),
        pytest.param({"port": 8080, "path": "/other"}, "not a report", id="another response"),
        pytest.param({"port": 9999}, "declares TCP port 9999", id="an undeclared port"),
    ],
)
def test_a_pod_without_a_memory_report_is_rolled(cluster, namespace, reporter, http, message):
    roll = roll_by_hand(cluster, namespace, reporter, evidence={"http": http, "timeout": "2s"})
    assert roll["status"]["phase"] == "Succeeded"
    assert message in reasons(roll["status"]["evidence"])["http"]
    assert roll["status"]["evidence"]["tookSeconds"] < 3


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        ({"timeout": "90s"}, "`evidence.timeout` must be from 1s to 60s"),
        ({"http": {"port": 0}}, "evidence.http.port"),
        ({"http": {"port": 80, "path": "/a/../b"}}, "evidence.http.path"),
        ({"http": {"port": 80, "path": "/a?x=1"}}, "evidence.http.path"),
        ({"http": {"port": 80, "path": "a"}}, "evidence.http.path"),
        ({"logLines": 201}, "evidence.logLines"),
    ],
)
def test_the_api_server_rejects_an_invalid_evidence_section(cluster, namespace, evidence, message):
    with pytest.raises(AssertionError, match=message):
        cluster.apply(objects.policy(namespace, "odd", evidence=evidence))
