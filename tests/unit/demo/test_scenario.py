from __future__ import annotations

from typing import Any

import pytest

from memroll_demo import scenario
from tests.pod_security import RESTRICTED

FILES = [*scenario.SERVICES, "load", "policies"]


def of_kind(name: str, kind: str) -> dict[str, Any]:
    (found,) = [o for o in scenario.load_demo_manifests(name, "an/image:1") if o["kind"] == kind]
    return found


def pod_spec(name: str) -> dict[str, Any]:
    if name == "load":
        return of_kind(name, "Pod")["spec"]
    return of_kind(name, "Deployment")["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", scenario.SERVICES)
def test_a_service_selects_its_own_pods_everywhere(name):
    labels = of_kind(name, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": name}
    for found in scenario.load_demo_manifests(name, "an/image:1"):
        selector = found["spec"]["selector"]
        assert selector in (labels, {"matchLabels": labels}), found["kind"]


@pytest.mark.parametrize("name", scenario.SERVICES)
def test_a_service_is_limited_probed_and_drained(name):
    (container,) = pod_spec(name)["containers"]
    assert container["resources"]["limits"] == {"memory": "128Mi"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 8080}
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] < pod_spec(name)["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", [*scenario.SERVICES, "load"])
def test_every_pod_meets_the_restricted_standard(name):
    (container,) = pod_spec(name)["containers"]
    assert container["securityContext"] == RESTRICTED
    assert container["image"] == "an/image:1"


def test_the_load_is_not_limited():
    (container,) = pod_spec("load")["containers"]
    assert "limits" not in container["resources"]


@pytest.mark.parametrize("name", ["leaky", "leaky-fleet", "control"])
def test_a_leaking_service_has_a_poddisruptionbudget_that_forbids_an_outage(name):
    budget = of_kind(name, "PodDisruptionBudget")["spec"]
    assert budget.get("minAvailable") == 1 or budget.get("maxUnavailable") == 1


def test_each_watched_service_has_one_policy_and_all_policies_are_equal():
    policies = scenario.load_demo_manifests("policies", "")
    watched = [name for policy in policies for name in scenario.selected_services(policy)]
    assert sorted(watched) == ["highwater", "leaky", "leaky-fleet", "warmup"]
    specs = [{k: v for k, v in policy["spec"].items() if k != "selector"} for policy in policies]
    assert all(spec == specs[0] for spec in specs)


def test_control_is_leaky_without_a_policy():
    assert pod_spec("control") == pod_spec("leaky")
    assert "control" not in {o["metadata"]["namespace"] for o in scenario.load_demo_manifests("policies", "")}


@pytest.mark.parametrize("name", FILES)
def test_all_namespaces_have_the_prefix(name):
    default = {o["metadata"]["namespace"] for o in scenario.load_demo_manifests(name, "")}
    renamed = {o["metadata"]["namespace"] for o in scenario.load_demo_manifests(name, "", prefix="trial")}
    known = scenario.DemoScenario(None, prefix="memroll-demo").namespaces
    assert default <= set(known)
    assert renamed == {n.replace("memroll-demo", "trial") for n in default}


class RecordingCluster:
    """Fake of DemoCluster that records applied objects."""

    service_image = "localhost/base:1"

    def __init__(self) -> None:
        self.applied: list[dict[str, Any]] = []

    def apply(self, *objects: dict[str, Any]) -> None:
        self.applied += objects

    def kubectl(self, *arguments: str) -> str:
        return ""

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        if kind == "pod":
            return {"status": {"phase": "Running"}}
        return {"spec": {"clusterIP": f"ip-of-{namespace}-{name}"}}


def test_some_of_the_services_are_set_up_with_their_policy_and_load_only(monkeypatch):
    monkeypatch.delenv("DEMO_IMAGE", raising=False)
    cluster = RecordingCluster()
    scenario.DemoScenario(cluster, prefix="trial", services=("leaky", "control")).set_up()
    named = [(o["kind"], o["metadata"]["name"]) for o in cluster.applied]
    assert [name for kind, name in named if kind == "Deployment"] == ["leaky", "control"]
    assert [name for kind, name in named if kind == "MemoryPolicy"] == ["leaky"]
    assert [name for kind, name in named if kind == "Namespace"] == ["trial", "trial-control", "trial-load"]
    (pod,) = [o for o in cluster.applied if o["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "localhost/base:1"
    assert container["env"] == [
        {"name": "TARGETS", "value": "leaky=http://ip-of-trial-leaky/ control=http://ip-of-trial-control-control/"},
        {"name": "PER_SECOND", "value": "20"},
    ]
