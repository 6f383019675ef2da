"""A leaking pod without room for a second one: it is evicted before its limit, and never after its memory was freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, wait_until

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

MIB = 2**20
LIMIT_MIB = 128
SLOW_LEAK = {"LEAK_KIB_PER_SECOND": "400"}
"""Environment of a service that reaches its limit in about five minutes."""
FAST_LEAK = {"LEAK_KIB_PER_SECOND": "3000"}
"""Environment of a service that reaches its limit in about 40 s."""
PREDICTED_S = 75
"""Predicted time to the limit in seconds: the eviction is due 60 s before, that is, while the pod waits for room."""
PATIENT_S = 3600
"""Predicted time to the limit, and replacement timeout, of a roll that would wait for room during the whole case."""


def exclude_second_pod(template: Json) -> None:
    """Require a node without another pod of the workload; there is one node."""
    term = {"labelSelector": {"matchLabels": {"app": APP}}, "topologyKey": "kubernetes.io/hostname"}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    template["spec"]["affinity"] = {"podAntiAffinity": rule}


def create_due_roll(scenario: RollScenario, pod: Json, predicted_s: int, **spec: Any) -> str:
    """Create a PodRoll as a policy does for a leak: with the container's start and the predicted time to its limit.

    It requires a Surge: with Auto, a pod that anti-affinity keeps alone on its node is evicted at once.
    """
    trigger = {
        "container": "app",
        "usageBytes": LIMIT_MIB * MIB // 2,
        "limitBytes": LIMIT_MIB * MIB,
        "timeToLimitSeconds": predicted_s,
        "containerStarted": started_at(pod),
    }
    return scenario.create_roll(pod, **({"trigger": trigger, "strategy": "Surge"} | spec))


def started_at(pod: Json) -> str:
    (status,) = pod["status"]["containerStatuses"]
    return str(status["state"].get("running", {}).get("startedAt", ""))


def evict_in_time(scenario: RollScenario, roll: str, old: Json, reason: str) -> None:
    """Wait for the eviction, and check what the record and the Events report."""
    status = scenario.wait_until_ended(roll)
    assert status["phase"] == "Succeeded", f"{status['phase']}: {status.get('message')}"
    assert status["strategy"] == "Evict", status
    assert status["strategyReason"].startswith("a surge had no room: "), status["strategyReason"]
    assert reason in status["strategyReason"], status["strategyReason"]
    assert "ReplacementReady" not in scenario.list_event_reasons()
    (new,) = scenario.wait_until_settled(1)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


def evict_exclusive_pod(scenario: RollScenario, _: int) -> None:
    scenario.deploy(1, change=exclude_second_pod, env=SLOW_LEAK)
    scenario.start_load()
    (old,) = scenario.list_pods()
    evict_in_time(scenario, create_due_roll(scenario, old, PREDICTED_S), old, "Unschedulable")


def evict_without_trying(scenario: RollScenario, _: int) -> None:
    """With Auto no replacement is created that can't be scheduled."""
    scenario.deploy(1, change=exclude_second_pod, env=SLOW_LEAK)
    (old,) = scenario.list_pods()
    status = scenario.wait_until_ended(create_due_roll(scenario, old, PATIENT_S, strategy="Auto"))
    assert (status["phase"], status["strategy"]) == ("Succeeded", "Evict"), status
    reason = "1 of 1 excluded by required anti-affinity (kubernetes.io/hostname)"
    assert status["strategyReason"] == f"no node has room for a second copy of the pod: {reason}", status
    (new,) = scenario.wait_until_settled(1)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


def evict_without_quota(scenario: RollScenario, _: int) -> None:
    scenario.deploy(1, env=SLOW_LEAK)
    scenario.start_load()
    scenario.create_pod_quota()
    (old,) = scenario.list_pods()
    evict_in_time(scenario, create_due_roll(scenario, old, PREDICTED_S), old, "exceeded quota: one-pod")


def keep_restarted_pod(scenario: RollScenario, _: int) -> None:
    """Let the container be OOM-killed while its pod waits for room: the pod with the fresh container stays."""
    scenario.deploy(1, change=exclude_second_pod, env=FAST_LEAK)
    scenario.start_load()
    old = wait_until("a running container", lambda: next((p for p in scenario.list_pods() if started_at(p)), None))
    assert old
    roll = create_due_roll(scenario, old, PATIENT_S, replacementTimeoutSeconds=PATIENT_S)
    status = scenario.wait_until_ended(roll)
    assert (status["phase"], status["reason"]) == ("Aborted", "ContainerRestarted"), status
    assert "has restarted after an OOM kill" in status["message"], status["message"]
    assert status["message"].endswith("the pod is restored"), status["message"]
    assert "ReplacementReady" not in scenario.list_event_reasons()
    uids = [p["metadata"]["uid"] for p in scenario.list_pods()]
    assert old["metadata"]["uid"] in uids, "the pod with the fresh container was evicted"


CASES = [
    SoakCase("unschedulable-surge", evict_exclusive_pod, lossless=False),
    SoakCase("unschedulable-foreseen", evict_without_trying, lossless=False),
    SoakCase("unschedulable-by-quota", evict_without_quota, lossless=False),
    SoakCase("unschedulable-and-killed", keep_restarted_pod, lossless=False, oom_kills=True),
]
