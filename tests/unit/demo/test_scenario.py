from __future__ import annotations

from typing import Any

import pytest

from memroll.detection.exhaustion import MIN_USAGE_RATIO_LONG_LEAD
from memroll.planning.rate_limit import RollRateLimit
from memroll_demo import scenario
from memroll_demo.cluster import FAST_LEAKS, ROOT
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


ROLL_USAGE_RATIO = MIN_USAGE_RATIO_LONG_LEAD
"""Minimum usage of a pod at its roll, as a ratio of its limit."""
BASE_MIB = 8
"""Memory of a service right after its start, in MiB; less than measured."""
SYSTEMS_MIB_PER_MINUTE = {"langflow-like": 19, "chatchat-like": 13, "agent-like": 20, "tracing-race": 57}
"""Leak of a pod of each system, from docs/systems.md."""
HEADROOM = 1.5
"""Minimum ratio of a budget to the rolls that are needed."""


def rolls_per_hour(limit_mib: float, mib_per_minute: float, pods: int) -> float:
    """Return the maximum number of rolls in an hour: each pod is rolled as soon as it uses enough."""
    return pods * 60 * mib_per_minute / (limit_mib * ROLL_USAGE_RATIO - BASE_MIB)


def demo_rolls_per_hour(service: str) -> float:
    """Return the maximum for a service whose pods share the load."""
    manifest = of_kind(service, "Deployment")["spec"]
    (container,) = manifest["template"]["spec"]["containers"]
    environment = {e["name"]: e["value"] for e in container["env"]}
    kib_per_request = float(environment["LEAK_KIB_PER_REQUEST"].rpartition("-")[2])
    mib_per_minute = kib_per_request / 1024 * scenario.RATE_PER_S * 60 / manifest["replicas"]
    return rolls_per_hour(128, mib_per_minute, manifest["replicas"])


def hourly_budget(policy: dict[str, Any]) -> int:
    (budget,) = policy["spec"]["roll"]["budgets"]
    assert budget["per"] == "1h"
    return budget["rolls"]


def test_the_budgets_suffice_for_a_demo_that_is_left_running():
    policies = {p["metadata"]["name"]: p for p in scenario.load_demo_manifests("policies", "an/image:1")}
    needed = {name: demo_rolls_per_hour(name) for name in ("leaky", "leaky-fleet")}
    assert needed["leaky-fleet"] > 60, "the leaks are fast"
    for name, rolls in needed.items():
        assert hourly_budget(policies[name]) >= HEADROOM * rolls
    options = dict(option.split("=") for option in FAST_LEAKS[1].split(","))
    limit = RollRateLimit(
        int(options["rollRateLimit.maxRollsPerHour"]), float(options["rollRateLimit.maxNamespaceShare"])
    )
    watched_pods = 6
    assert min(limit.namespace_quota, limit.max_in_namespace(watched_pods)) >= HEADROOM * sum(needed.values())


@pytest.mark.parametrize("system", SYSTEMS_MIB_PER_MINUTE)
def test_the_budget_of_a_system_suffices_if_it_is_left_running(system):
    path = ROOT / f"examples/systems/manifests/{system}.yaml"
    objects = scenario.load_manifests(path, "an/image:1", ("memroll-systems", "memroll-systems"))
    named = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    replicas = named["Deployment", system]["spec"]["replicas"]
    needed = rolls_per_hour(96, SYSTEMS_MIB_PER_MINUTE[system], replicas)
    assert hourly_budget(named["MemoryPolicy", system]) >= HEADROOM * needed
