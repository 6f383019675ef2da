"""Forty policies and forty concurrent rolls on a real cluster: every status, Event, log record and metric is right.

Forty, because a node has room for 110 pods and each roll has two pods for a while; tests/scenario runs a hundred. Four
namespaces have workloads of the same names, so that a mix-up of either half of a name is found.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.e2e.diagnostics import RELEASE, print_diagnostics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.cluster import DemoCluster
    from tests.soak.kubectl_proxy import KubectlProxy


TEAMS, APPS = 4, 10
NAMES = [(f"{RELEASE}-isolation-{team}", f"chat-{app}") for team in range(TEAMS) for app in range(APPS)]
NAMESPACES = sorted({namespace for namespace, _ in NAMES})
pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(600), pytest.mark.watches(*NAMESPACES)]
FINAL = ("Succeeded", "Failed", "Aborted")
PROGRAM = "import signal as s; s.pthread_sigmask(s.SIG_BLOCK, {s.SIGTERM}); s.sigwait({s.SIGTERM})"
READY_S, ROLLED_S = 240, 300
WATCH_LOGGER = "kopf._cogs.clients."
"""Loggers of the client whose watches cover a namespace: they report, for example, a CRD that is being initialized."""

Name = tuple[str, str]
Json = dict[str, Any]


def names_in(text: str) -> tuple[set[str], set[str]]:
    """Return the namespaces and the workloads of this test in a text."""
    return set(re.findall(rf"{RELEASE}-isolation-\d+", text)), set(re.findall(r"chat-\d+(?!\d)", text))


def foreign_names(content: Any, name: Name) -> set[str]:
    """Return the names in the content that belong to other workloads."""
    teams, apps = names_in(json.dumps(content))
    return (teams - {name[0]}) | (apps - {name[1]})


def workload(name: Name, image: str) -> Json:
    """Return a Deployment of one idle pod, with a memory limit that no other one has."""
    namespace, app = name
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", PROGRAM],
        "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": f"{32 + NAMES.index(name)}Mi"}},
        "securityContext": objects.RESTRICTED,
    }
    template = {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 2},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app, "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": app}}, "template": template},
    }


def pod_roll(pod: Json) -> Json:
    meta = pod["metadata"]
    app = meta["labels"]["app"]
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "PodRoll",
        "metadata": {"name": f"{app}-by-hand", "namespace": meta["namespace"]},
        "spec": {
            "podName": meta["name"],
            "podUID": meta["uid"],
            "policy": app,
            "reason": f"by hand, for {meta['namespace']}/{app}",
            "replacementTimeoutSeconds": ROLLED_S,
        },
    }


def list_all(kube: KubectlProxy, plural: str) -> list[Json]:
    return [found for namespace in NAMESPACES for found in kube.list(plural, namespace)]


def ready_pods(kube: KubectlProxy) -> dict[Name, Json]:
    """Return the Ready pod of each workload that is not terminating."""
    pods = [p for p in list_all(kube, "pods") if "deletionTimestamp" not in p["metadata"]]
    conditions = ((p, c) for p in pods for c in p["status"].get("conditions", []))
    ready = [p for p, c in conditions if (c["type"], c["status"]) == ("Ready", "True")]
    return {(p["metadata"]["namespace"], p["metadata"]["labels"]["app"]): p for p in ready}


@pytest.fixture(scope="module")
def rolls_by_name(
    cluster: DemoCluster, kube: KubectlProxy, operator: str, request: pytest.FixtureRequest
) -> Iterator[dict[Name, Json]]:
    """Roll all pods concurrently; return the PodRolls by workload."""
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found")
    cluster.apply(*map(objects.namespace, NAMESPACES))
    cluster.apply(*(workload(name, cluster.service_image) for name in NAMES))
    cluster.apply(*(objects.policy(*name, interval="15s") for name in NAMES))
    wait_for("a Ready pod of each workload", lambda: len(ready_pods(kube)) == len(NAMES), READY_S)
    cluster.apply(*map(pod_roll, ready_pods(kube).values()))

    def find_ended() -> list[Json]:
        rolls = list_all(kube, "podrolls")
        return rolls if all(r.get("status", {}).get("phase") in FINAL for r in rolls) else []

    found = wait_for("the end of all rolls", find_ended, ROLLED_S)
    yield {(r["metadata"]["namespace"], r["spec"]["policy"]): r for r in found}
    if request.session.testsfailed:
        for namespace in NAMESPACES:
            print_diagnostics(cluster, namespace, operator)
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--wait=false")


def test_each_roll_replaced_its_own_pod_and_no_other(kube, rolls_by_name):
    assert Counter(r["status"]["phase"] for r in rolls_by_name.values()) == {"Succeeded": len(NAMES)}
    pods = ready_pods(kube)
    for name, roll in rolls_by_name.items():
        assert foreign_names(roll, name) == set()
        assert roll["status"]["podUID"] == roll["spec"]["podUID"]
        assert roll["status"]["workload"]["name"] == name[1]
        assert roll["status"]["replacement"]["name"] == pods[name]["metadata"]["name"] != roll["spec"]["podName"]


def test_each_policy_reports_its_own_pod_and_roll(kube, rolls_by_name):
    def is_complete(status: Json) -> bool:
        # The pods were listed before the roll was counted: the first status that counts it may hold the old pod too.
        return status.get("rolls", {}).get("succeeded") == 1 and status.get("pods", {}).get("total") == 1

    def complete_statuses() -> dict[Name, Json]:
        found = ((p, p.get("status", {})) for p in list_all(kube, "memorypolicies"))
        return {(p["metadata"]["namespace"], p["metadata"]["name"]): s for p, s in found if is_complete(s)}

    def every_status() -> dict[Name, Json]:
        complete = complete_statuses()
        return complete if len(complete) == len(NAMES) else {}

    statuses = wait_for("every policy to count its roll and one pod", every_status, timeout_s=90)
    for name, status in statuses.items():
        assert foreign_names(status, name) == set()
        assert [r["pod"] for r in status["lastRolls"]] == [rolls_by_name[name]["spec"]["podName"]]
        limits = [entry["limitBytes"] for entry in status.get("atRisk", []) if entry.get("limitBytes")]
        assert set(limits) <= {(32 + NAMES.index(name)) * objects.MIB}


def test_each_event_is_on_the_object_that_it_names(kube, rolls_by_name):
    def event_reasons() -> dict[Name, set[str]]:
        reported: dict[Name, set[str]] = {name: set() for name in rolls_by_name}
        for event in list_all(kube, "events"):
            if event.get("source", {}).get("component") != "memroll":
                continue
            regarding = event["involvedObject"]
            (app,) = names_in(regarding["name"])[1]
            name = (regarding["namespace"], app)
            assert event["metadata"]["namespace"] == regarding["namespace"]
            assert foreign_names([regarding, event["message"]], name) == set()
            if regarding["kind"] == "Deployment":
                reported[name].add(event["reason"])
        return reported

    expected = {"RollAnnounced", "ReplacementReady", "PodRolled"}

    def is_complete() -> bool:
        return all(expected <= reasons for reasons in event_reasons().values())

    wait_for("the events of each roll", is_complete, timeout_s=300)


def test_each_log_record_names_one_policy_or_roll(cluster, rolls_by_name, operator):
    text = cluster.kubectl("logs", "-n", operator, f"deployment/{RELEASE}", "--tail=-1")
    named = [json.loads(line) for line in text.splitlines() if f"{RELEASE}-isolation-" in line]
    lines = [line for line in named if not line["message"].startswith("settings: ")]  # has all watched namespaces
    for line in lines:
        teams, apps = names_in(json.dumps(line))
        if line["logger"].startswith(WATCH_LOGGER):
            assert (len(teams), apps) == (1, set()), f"a watch belongs to a namespace, not to a policy: {line}"
            continue
        assert len(teams) == len(apps) == 1, line
        assert {line["namespace"]} == teams, line
        assert line.get("policy") or line.get("roll"), line
    reported = Counter(line["namespace"] + "/" + line["policy"] for line in lines if line["message"] == "roll")
    assert set(reported) == {"/".join(name) for name in rolls_by_name}
    assert min(reported.values()) >= 3, "announced, replacing, evicting and succeeded, some of them in one step"


def test_each_roll_is_counted_for_its_own_policy(cluster, rolls_by_name, operator):
    (pod,) = [p for p in cluster.get("pods", operator) if p["metadata"]["name"].startswith(RELEASE)]
    path = f"/api/v1/namespaces/{operator}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
    samples = re.findall(
        rf'memroll_rolls_total{{namespace="({RELEASE}-isolation-\d+)",outcome="(\w+)",policy="(chat-\d+)"}} (\S+)',
        cluster.kubectl("get", "--raw", path),
    )
    counts = {(namespace, policy, outcome): float(count) for namespace, outcome, policy, count in samples}
    counted = {(space, policy): (outcome, count) for (space, policy, outcome), count in counts.items() if count}
    assert counted == dict.fromkeys(rolls_by_name, ("Succeeded", 1.0))
