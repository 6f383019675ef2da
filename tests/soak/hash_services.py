"""Workloads whose Service selects their pods by template hash: a Surge is refused, an eviction loses no request.

Argo Rollouts writes such selectors by itself (`rollouts.py`); here a Deployment's Service has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, HASH_LABEL

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

ONE_UNAVAILABLE = {"maxUnavailable": 1}
NONE_UNAVAILABLE = {"maxUnavailable": 0}
BLOCKED_S = 15
"""Replacement timeout in seconds of a roll whose eviction a PodDisruptionBudget blocks."""
LONG_STOP_S = 20
"""Duration in seconds of a preStop hook that outlasts the start of the replacement. The pod serves until its end, as
long as no other pod is Ready, because kube-proxy then routes requests to terminating pods."""


def stop_slowly(template: Json) -> None:
    """Let the pod serve for so long after its eviction that a replacement becomes Ready meanwhile."""
    template["spec"]["terminationGracePeriodSeconds"] = 2 * LONG_STOP_S
    template["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": LONG_STOP_S}}}


def deploy_selected(scenario: RollScenario, replicas: int, budget: Json | None) -> None:
    """Deploy a Deployment whose Service selects its pods by their template hash."""
    scenario.deploy(replicas, budget, stop_slowly if replicas == 1 else None)
    template_hash = scenario.get_oldest_pod()["metadata"]["labels"][HASH_LABEL]
    scenario.kube.patch("services", scenario.namespace, APP, {"spec": {"selector": {HASH_LABEL: template_hash}}})


def check_rolls(scenario: RollScenario, replicas: int, hash_label: str) -> None:
    """Check that a Surge is refused with the reason, and that Auto evicts the pod; under load."""
    reason = f"Service {APP} selects the pod by its label {hash_label}"
    old, selectors = scenario.get_oldest_pod(), get_selectors(scenario)
    refused = scenario.wait_until_ended(scenario.create_roll(old, strategy="Surge"))
    assert (refused["phase"], refused["reason"]) == ("Failed", "Refused"), refused
    assert refused["message"] == f"strategy Surge is set in the spec, but {reason}"
    assert scenario.get_oldest_pod()["metadata"]["labels"] == old["metadata"]["labels"]
    status = scenario.wait_until_ended(scenario.create_roll(old))
    outcome = status["phase"], status.get("strategy"), status.get("strategyReason")
    assert outcome == ("Succeeded", "Evict", reason), status
    left = {p["metadata"]["uid"] for p in scenario.wait_until_settled(replicas)}
    assert old["metadata"]["uid"] not in left, "the rolled pod still exists"
    assert get_selectors(scenario) == selectors, "a Service was changed"


def check_blocked_roll(scenario: RollScenario, hash_label: str) -> None:
    """Check that a PodDisruptionBudget that allows no disruption ends the roll, with the reason and without a loss."""
    (old,) = scenario.list_pods()
    status = scenario.wait_until_ended(scenario.create_roll(old, replacementTimeoutSeconds=BLOCKED_S))
    assert (status["phase"], status["reason"]) == ("Failed", "EvictionTimedOut"), status
    assert status["strategyReason"].endswith(f"selects the pod by its label {hash_label}"), status
    assert "disruption budget" in status["message"], status["message"]
    (left,) = scenario.wait_until_settled(1)
    assert left["metadata"]["uid"] == old["metadata"]["uid"]


def get_selectors(scenario: RollScenario) -> dict[str, Json]:
    return {s["metadata"]["name"]: s["spec"]["selector"] for s in scenario.kube.list("services", scenario.namespace)}


def roll_selected(replicas: int, scenario: RollScenario) -> None:
    deploy_selected(scenario, replicas, ONE_UNAVAILABLE)
    scenario.start_load()
    check_rolls(scenario, replicas, HASH_LABEL)


def roll_blocked(scenario: RollScenario) -> None:
    deploy_selected(scenario, 1, NONE_UNAVAILABLE)
    scenario.start_load()
    check_blocked_roll(scenario, HASH_LABEL)


CASES = [
    SoakCase("hash-service-1", lambda scenario, _: roll_selected(1, scenario)),
    SoakCase("hash-service-3", lambda scenario, _: roll_selected(3, scenario)),
    SoakCase("hash-service-blocked", lambda scenario, _: roll_blocked(scenario)),
]
