"""Pods that don't finish terminating: a finalizer holds them, as a lost node does. Their rolls end all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e import objects
from tests.soak.cases import SoakCase
from tests.soak.kubectl_proxy import RejectedWriteError
from tests.soak.roll_scenario import APP, is_deleting, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

    Case = Callable[[RollScenario], None]

FINALIZER = "example.com/hold"
STRICT_BUDGET = {"minAvailable": "100%"}
LEAK = {"LEAK_KIB_PER_SECOND": "450"}
"""Environment of a service that uses half of its limit after two minutes, and all of it after more than four. Three
rolls take less than the difference. One that did not grow would be paused as ineffective."""
TIMEOUT_S = 20
TERMINATING = "; the old pod is terminating"


def held(case: Case) -> Callable[[RollScenario, int], None]:
    """Return the function of a case, with the finalizers removed at its end."""

    def run(scenario: RollScenario, _: int) -> None:
        try:
            case(scenario)
        finally:
            let_go(scenario)
        wait_until("the deletion of the held pods", lambda: not any(map(is_deleting, scenario.list_pods())))

    return run


def hold_template(template: Json) -> None:
    template["metadata"]["finalizers"] = [FINALIZER]


def hold_pod(scenario: RollScenario, pod: Json) -> None:
    patch_finalizers(scenario, pod, [FINALIZER])


def let_go(scenario: RollScenario) -> None:
    for pod in scenario.list_pods():
        if pod["metadata"].get("finalizers"):
            try:
                patch_finalizers(scenario, pod, None)
            except RejectedWriteError:
                assert scenario.get_pod(pod["metadata"]["name"]) is None


def patch_finalizers(scenario: RollScenario, pod: Json, finalizers: list[str] | None) -> None:
    change = {"metadata": {"finalizers": finalizers}}
    scenario.kube.patch("pods", scenario.namespace, pod["metadata"]["name"], change)


def assert_stuck(scenario: RollScenario, pod: Json) -> None:
    found = scenario.get_pod(pod["metadata"]["name"])
    assert found, "the held pod is gone"
    assert is_deleting(found), "the held pod is not terminating"


def roll_stuck_pod(scenario: RollScenario, pod: Json, **spec: Any) -> Json:
    """Roll a pod that is held, and return the PodRoll's status."""
    status = scenario.wait_until_ended(scenario.create_roll(pod, **spec))
    assert_stuck(scenario, pod)
    assert status["phase"] == "Succeeded", f"{status['phase']}: {status.get('message')}"
    assert status["message"].startswith("replaced by "), status["message"]
    assert TERMINATING in status["message"], status["message"]
    return status


def surge_held_pod(scenario: RollScenario) -> None:
    """Hold the only pod right before it is rolled: the roll ends when the replacement is Ready."""
    scenario.deploy(1, STRICT_BUDGET)
    scenario.start_load()
    (old,) = scenario.list_pods()
    hold_pod(scenario, old)
    assert roll_stuck_pod(scenario, old)["strategy"] == "Surge"


def roll_held_fleet(scenario: RollScenario) -> None:
    """Roll one pod after the other by a policy with `maxConcurrent: 1`: a pod that terminates blocks no peer."""
    scenario.deploy(3, STRICT_BUDGET, hold_template, env=LEAK)
    scenario.start_load()
    first = scenario.list_pods()
    policy = objects.policy(scenario.namespace, APP, usageThreshold="50%")
    assert "maxConcurrent" not in policy["spec"]["roll"], "1 by default"
    scenario.cluster.apply(policy)
    names = {p["metadata"]["name"] for p in first}

    def rolled() -> list[Json]:
        rolls = [r for r in scenario.list_rolls() if r["spec"]["podName"] in names]
        ended = [r for r in rolls if r.get("status", {}).get("phase") == "Succeeded"]
        return ended if len(ended) == len(first) else []

    try:
        rolls = wait_until("a roll of each pod", rolled, timeout_s=480)
    finally:
        scenario.kube.delete("memorypolicies", scenario.namespace, APP)
    for pod in first:
        assert_stuck(scenario, pod)
    assert all("; the old pod " in r["status"]["message"] for r in rolls), [r["status"]["message"] for r in rolls]
    wait_until("the end of the other rolls", lambda: not scenario.find_active_rolls())
    scenario.ended_rolls += len(scenario.list_rolls())


def evict_held_pods(scenario: RollScenario) -> None:
    """Evict one held pod after the other: the ReplicaSet creates a new pod although the old one terminates."""
    scenario.deploy(2, {"maxUnavailable": 1})
    scenario.start_load()
    for pod in scenario.list_pods():
        hold_pod(scenario, pod)
        assert roll_stuck_pod(scenario, pod, strategy="Evict")["strategy"] == "Evict"


def deploy_stateful_set(scenario: RollScenario, replicas: int) -> list[Json]:
    """Deploy the service as a StatefulSet without a PodDisruptionBudget, and return its Ready pods by name."""
    workload, service, _ = objects.deployment(scenario.namespace, APP, scenario.image, replicas)
    workload |= {"kind": "StatefulSet", "spec": workload["spec"] | {"serviceName": APP}}
    scenario.cluster.apply(workload, service)
    wait_until("a complete StatefulSet", lambda: is_complete(scenario, replicas))
    return sorted(scenario.list_pods(), key=lambda p: p["metadata"]["name"])


def evict_held_stateful_pod(scenario: RollScenario) -> None:
    """Evict a held pod of a StatefulSet: no replacement can have its name, so the roll fails.

    A peer is not evicted while the StatefulSet lacks that pod, and is rolled afterwards.
    """
    peer, old = deploy_stateful_set(scenario, 2)
    hold_pod(scenario, old)
    status = scenario.wait_until_ended(scenario.create_roll(old, replacementTimeoutSeconds=TIMEOUT_S))
    assert_stuck(scenario, old)
    assert (status["phase"], status["reason"]) == ("Failed", "TerminationTimedOut"), status
    assert "its node is lost, or a finalizer holds it" in status["message"], status["message"]
    status = scenario.wait_until_ended(scenario.create_roll(peer))
    assert (status["phase"], status["reason"]) == ("Aborted", "WorkloadChanging"), status
    let_go(scenario)
    wait_until("a complete StatefulSet", lambda: is_complete(scenario, 2))
    status = scenario.wait_until_ended(scenario.create_roll(peer))
    assert status["phase"] == "Succeeded", f"{status['phase']}: {status.get('message')}"


def is_complete(scenario: RollScenario, replicas: int) -> bool:
    found = scenario.kube.get("statefulsets", scenario.namespace, APP)
    assert found, "deploy_stateful_set() created it"
    counts = [found.get("status", {}).get(key) for key in ("readyReplicas", "updatedReplicas")]
    return counts == [replicas, replicas]


def uninstall_case(image: str) -> SoakCase:
    """Return the case of an uninstall while the eviction of a held pod is in progress, with an operator of its own."""

    def run(scenario: RollScenario) -> None:
        release = f"{scenario.namespace}-op"
        scenario.cluster.install(release, release, image, [scenario.namespace])
        try:
            (old,) = deploy_stateful_set(scenario, 1)
            hold_pod(scenario, old)
            roll = scenario.create_roll(old, replacementTimeoutSeconds=600)
            wait_until("the eviction", lambda: is_deleting(scenario.get_pod(old["metadata"]["name"]) or old))
        finally:
            scenario.cluster.uninstall(release, release)
        assert_stuck(scenario, old)
        status = scenario.wait_until_ended(roll, timeout_s=5)
        assert status["reason"] == "Uninstalled", status

    return SoakCase("stuck-terminating-uninstalled", held(run), watched=False)


CASES = [
    SoakCase("stuck-terminating-pod", held(surge_held_pod)),
    SoakCase("stuck-terminating-fleet", held(roll_held_fleet)),
    SoakCase("stuck-terminating-evict", held(evict_held_pods)),
    SoakCase("stuck-terminating-ordinal", held(evict_held_stateful_pod)),
]
