"""Forty policies and forty rolls at once on a real cluster: everything said is about the right one.

Forty, because a node has room for 110 pods and each roll has two of them for a while; tests/scenario plays it with a
hundred. Four namespaces hold workloads of the same names, so that a mix-up of either half shows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from memroll_demo.site import wait_for
from tests.e2e import objects
from tests.e2e.looking import RELEASE, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll_demo.site import Site
    from tests.soak.kube import Kube


TEAMS, APPS = 4, 10
NAMES = [(f"{RELEASE}-isolation-{team}", f"chat-{app}") for team in range(TEAMS) for app in range(APPS)]
NAMESPACES = sorted({namespace for namespace, _ in NAMES})
pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(600), pytest.mark.watches(*NAMESPACES)]
FINAL = ("Succeeded", "Failed", "Aborted")
PROGRAM = "import signal as s; s.pthread_sigmask(s.SIG_BLOCK, {s.SIGTERM}); s.sigwait({s.SIGTERM})"
READY_S, ROLLED_S = 240, 300

Name = tuple[str, str]
Json = dict[str, Any]


def named(text: str) -> tuple[set[str], set[str]]:
    """Return the namespaces and the workloads of this test that a text names."""
    return set(re.findall(rf"{RELEASE}-isolation-\d+", text)), set(re.findall(r"chat-\d+(?!\d)", text))


def strangers(content: Any, name: Name) -> set[str]:
    """Return what it names that has nothing to do with this workload."""
    teams, apps = named(json.dumps(content))
    return (teams - {name[0]}) | (apps - {name[1]})


def workload(name: Name, image: str) -> Json:
    """Return a Deployment of one pod that does nothing, with a memory limit of its own."""
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


def roll_of(pod: Json) -> Json:
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


def everything(kube: Kube, plural: str) -> list[Json]:
    return [found for namespace in NAMESPACES for found in kube.list(plural, namespace)]


def ready_pods(kube: Kube) -> dict[Name, Json]:
    """Return the pod of each workload that is Ready and stays."""
    pods = [p for p in everything(kube, "pods") if "deletionTimestamp" not in p["metadata"]]
    conditions = ((p, c) for p in pods for c in p["status"].get("conditions", []))
    ready = [p for p, c in conditions if (c["type"], c["status"]) == ("Ready", "True")]
    return {(p["metadata"]["namespace"], p["metadata"]["labels"]["app"]): p for p in ready}


@pytest.fixture(scope="module")
def rolled(cluster: Site, kube: Kube, operator: str, request: pytest.FixtureRequest) -> Iterator[dict[Name, Json]]:
    """Roll all pods at once; return the PodRolls by workload."""
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found")
    cluster.apply(*map(objects.namespace, NAMESPACES))
    cluster.apply(*(workload(name, cluster.service_image) for name in NAMES))
    cluster.apply(*(objects.policy(*name, interval="15s") for name in NAMES))
    wait_for("a Ready pod of each workload", lambda: len(ready_pods(kube)) == len(NAMES), READY_S)
    cluster.apply(*map(roll_of, ready_pods(kube).values()))

    def ended() -> list[Json]:
        rolls = everything(kube, "podrolls")
        return rolls if all(r.get("status", {}).get("phase") in FINAL for r in rolls) else []

    found = wait_for("the end of all rolls", ended, ROLLED_S)
    yield {(r["metadata"]["namespace"], r["spec"]["policy"]): r for r in found}
    if request.session.testsfailed:
        for namespace in NAMESPACES:
            show(cluster, namespace, operator)
    cluster.kubectl("delete", "namespace", *NAMESPACES, "--wait=false")


def test_each_roll_replaced_its_own_pod_and_no_other(kube, rolled):
    assert Counter(r["status"]["phase"] for r in rolled.values()) == {"Succeeded": len(NAMES)}
    pods = ready_pods(kube)
    for name, roll in rolled.items():
        assert strangers(roll, name) == set()
        assert roll["status"]["podUID"] == roll["spec"]["podUID"]
        assert roll["status"]["workload"]["name"] == name[1]
        assert roll["status"]["replacement"]["name"] == pods[name]["metadata"]["name"] != roll["spec"]["podName"]


def test_each_policy_tells_of_its_own_pod_and_roll(kube, rolled):
    def told() -> dict[Name, Json]:
        found = everything(kube, "memorypolicies")
        done = [p for p in found if p.get("status", {}).get("rolls", {}).get("succeeded") == 1]
        return {(p["metadata"]["namespace"], p["metadata"]["name"]): p["status"] for p in done}

    wait_for("every policy to count its roll", lambda: len(told()) == len(NAMES), timeout_s=90)
    for name, status in told().items():
        assert strangers(status, name) == set()
        assert status["pods"]["total"] == 1
        assert [r["pod"] for r in status["lastRolls"]] == [rolled[name]["spec"]["podName"]]
        limits = [near["limitBytes"] for near in status.get("nearest", []) if near.get("limitBytes")]
        assert set(limits) <= {(32 + NAMES.index(name)) * objects.MIB}


def test_each_event_is_on_the_object_that_it_names(kube, rolled):
    def stories() -> dict[Name, set[str]]:
        told: dict[Name, set[str]] = {name: set() for name in rolled}
        for event in everything(kube, "events"):
            if event.get("source", {}).get("component") != "memroll":
                continue
            about = event["involvedObject"]
            (app,) = named(about["name"])[1]
            name = (about["namespace"], app)
            assert event["metadata"]["namespace"] == about["namespace"]
            assert strangers([about, event["message"]], name) == set()
            if about["kind"] == "Deployment":
                told[name].add(event["reason"])
        return told

    whole = {"RollAnnounced", "ReplacementReady", "PodRolled"}
    wait_for("the events of each roll", lambda: all(whole <= told for told in stories().values()), timeout_s=300)


def test_each_log_line_carries_the_names_of_what_it_is_about(cluster, rolled, operator):
    text = cluster.kubectl("logs", "-n", operator, f"deployment/{RELEASE}", "--tail=-1")
    lines = [json.loads(line) for line in text.splitlines() if f"{RELEASE}-isolation-" in line]
    for line in lines:
        teams, apps = named(json.dumps(line))
        assert len(teams) == len(apps) == 1, line
        assert {line["namespace"]} == teams, line
        assert line.get("policy") or line.get("roll"), line
    told = Counter(line["namespace"] + "/" + line["policy"] for line in lines if line["message"] == "roll")
    assert set(told) == {"/".join(name) for name in rolled}
    assert min(told.values()) >= 3, "announced, replacing, evicting, succeeded: some of them at once"


def test_each_roll_is_counted_for_its_own_policy(cluster, rolled, operator):
    (pod,) = [p for p in cluster.get("pods", operator) if p["metadata"]["name"].startswith(RELEASE)]
    path = f"/api/v1/namespaces/{operator}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
    said = re.findall(
        rf'memroll_rolls_total{{namespace="({RELEASE}-isolation-\d+)",outcome="(\w+)",policy="(chat-\d+)"}} (\S+)',
        cluster.kubectl("get", "--raw", path),
    )
    counted = {(namespace, policy): (outcome, float(count)) for namespace, outcome, policy, count in said}
    assert counted == dict.fromkeys(rolled, ("Succeeded", 1.0))
