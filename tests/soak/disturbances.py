"""Disturbances by users and the cluster during a surge: after the release of the old pod, before a Ready replacement.

Scaling also covers the HorizontalPodAutoscaler, which changes nothing else in a workload; a real one is in
tests/e2e/test_autoscalers.py.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from memroll_demo.cluster import CommandError
from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, FINAL, is_deleting, is_ready, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

STRICT_BUDGET = {"minAvailable": "100%"}
SLOW_START = {"READY_AFTER_S": "6"}
"""Environment of a service that needs 6 s to become Ready, which leaves time for a disturbance."""
DRAIN_TIMEOUT = "45s"
CORDON_S = 20
"""Maximum time in seconds that the node stays cordoned: other namespaces need it as well."""


def start_surge(
    scenario: RollScenario, replicas: int, budget: Json | None = None, change: Callable[[Json], None] | None = None
) -> str:
    """Deploy, roll the oldest pod, and return the PodRoll's name once it surges."""
    scenario.deploy(replicas, budget or STRICT_BUDGET, change, env=SLOW_START)
    scenario.start_load()
    roll = scenario.create_roll(scenario.get_oldest_pod())
    scenario.wait_until_surging(roll)
    return roll


def roll_out(replicas: int, scenario: RollScenario) -> None:
    """Roll out a new version: it also replaces the replacement."""
    roll = start_surge(scenario, replicas)
    scenario.set_env("VERSION", "2")
    scenario.wait_until_ended(roll)
    pods = scenario.wait_until_settled(replicas)
    for pod in pods:
        names = {e["name"] for e in pod["spec"]["containers"][0]["env"]}
        assert "VERSION" in names, f"{pod['metadata']['name']} is of the old version"


def scale_during_surge(replicas: int, new_replicas: int, scenario: RollScenario) -> None:
    roll = start_surge(scenario, replicas)
    scenario.scale(new_replicas)
    scenario.wait_until_ended(roll)
    scenario.wait_until_settled(new_replicas)


def scale_to_zero(scenario: RollScenario) -> None:
    scale_during_surge(1, 0, scenario)
    check_aborted(scenario, "ScaledToZero")


def delete_workload(scenario: RollScenario) -> None:
    """Delete the Deployment: it owns the released pod, so the garbage collector deletes that as well.

    An eviction would not be allowed: the PodDisruptionBudget counts no pod without a controller.
    """
    roll = start_surge(scenario, 1)
    scenario.kube.delete("deployments", scenario.namespace, APP)
    scenario.wait_until_ended(roll)
    wait_until("the deletion of all pods", lambda: not scenario.list_pods())
    check_aborted(scenario, "WorkloadGone")


def check_aborted(scenario: RollScenario, reason: str) -> None:
    """Check that the roll of a pod that is no longer needed is not reported as a success."""
    (roll,) = scenario.list_rolls()
    assert (roll["status"]["phase"], roll["status"]["reason"]) == ("Aborted", reason), roll["status"]
    wait_until("the Event RollAborted", lambda: "RollAborted" in scenario.list_event_reasons())
    assert "PodRolled" not in scenario.list_event_reasons()


def drain_node(scenario: RollScenario) -> None:
    """Drain the node: the old pod and the others are evicted, and nothing can be scheduled for a while.

    Without --force, kubectl refuses to drain pods without a controller, such as a released pod.
    """

    def add_label(template: Json) -> None:
        template["metadata"]["labels"]["drained"] = scenario.namespace  # kubectl drain selects in all namespaces

    roll = start_surge(scenario, 3, {"minAvailable": 2}, add_label)
    first = {p["metadata"]["uid"] for p in scenario.list_pods()}
    (node,) = (n["metadata"]["name"] for n in scenario.kube.list("nodes", ""))
    command = ["drain", node, "--force", "--pod-selector", f"drained={scenario.namespace}", "--timeout", DRAIN_TIMEOUT]
    drain = threading.Thread(target=_kubectl, args=(scenario, *command))
    try:
        drain.start()
        wait_until("a pod that the drain has evicted", lambda: _has_evicted_one(scenario, first), CORDON_S)
        wait_until("a pod that can't be scheduled", lambda: any(map(is_unscheduled, scenario.list_pods())), CORDON_S)
    finally:
        scenario.cluster.kubectl("uncordon", node)
        drain.join()
        scenario.cluster.kubectl("uncordon", node)
    scenario.wait_until_ended(roll)
    scenario.wait_until_settled(3)


def _kubectl(scenario: RollScenario, *arguments: str) -> None:
    try:
        scenario.cluster.kubectl(*arguments)
    except CommandError:
        return  # the PodDisruptionBudget allows one pod after the other; the drain may not reach all of them in time


def is_unscheduled(pod: Json) -> bool:
    return not pod["spec"].get("nodeName")


def _has_evicted_one(scenario: RollScenario, first: set[str]) -> bool:
    return bool(first - {p["metadata"]["uid"] for p in scenario.list_pods() if not is_deleting(p)})


def delete_roll_early(scenario: RollScenario) -> None:
    """Delete the PodRoll while the replacement is not Ready: the old pod, which is Ready, is restored."""
    roll = start_surge(scenario, 1)
    old = scenario.get_oldest_pod()["metadata"]["uid"]
    scenario.kube.delete("podrolls", scenario.namespace, roll)
    (left,) = scenario.wait_until_settled(1)
    assert left["metadata"]["uid"] == old, "the Ready pod was deleted"


def delete_roll_late(scenario: RollScenario) -> None:
    """Delete the PodRoll when the replacement is Ready and a PodDisruptionBudget still blocks the eviction."""
    scenario.deploy(1, {"minAvailable": 2}, env=SLOW_START)
    scenario.start_load()
    old = scenario.get_oldest_pod()["metadata"]["uid"]
    roll = scenario.create_roll(scenario.get_oldest_pod())
    wait_until(
        "a blocked eviction",
        lambda: scenario.get_phase(roll) in ("Evicting", *FINAL) and is_owned_by_roll(scenario, roll),
    )
    assert scenario.get_phase(roll) == "Evicting", scenario.get_roll_status(roll)
    assert sum(is_ready(p) for p in scenario.list_pods()) == 2
    scenario.kube.delete("podrolls", scenario.namespace, roll)
    (left,) = scenario.wait_until_settled(1)
    assert left["metadata"]["uid"] != old, "the old pod remains, and its replacement was deleted"


def is_owned_by_roll(scenario: RollScenario, roll: str) -> bool:
    owners = (o for p in scenario.list_pods() for o in p["metadata"].get("ownerReferences", []))
    return any(o["kind"] == "PodRoll" and o["name"] == roll for o in owners)


def cancel_roll(scenario: RollScenario) -> None:
    roll = start_surge(scenario, 1)
    old = scenario.get_oldest_pod()["metadata"]["uid"]
    scenario.kube.patch("podrolls", scenario.namespace, roll, {"spec": {"cancel": True}})
    status = scenario.wait_until_ended(roll)
    assert status["phase"] == "Aborted", status
    (left,) = scenario.wait_until_settled(1)
    assert left["metadata"]["uid"] == old, "the Ready pod was deleted"


def cancel_late(replicas: int, scenario: RollScenario) -> None:
    """Cancel when the replacement is Ready and a PodDisruptionBudget blocks the eviction: the replacement is deleted.

    Without a mark, the ReplicaSet would delete another pod: that with the lowest deletion cost.
    """
    scenario.deploy(replicas, {"minAvailable": replicas + 1})
    scenario.start_load()
    first = scenario.list_pods()
    low_cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}}
    scenario.kube.patch("pods", scenario.namespace, first[-1]["metadata"]["name"], low_cost)
    roll = scenario.create_roll(first[0])
    wait_until("a blocked eviction", lambda: scenario.get_phase(roll) in ("Evicting", *FINAL))
    assert scenario.get_phase(roll) == "Evicting", scenario.get_roll_status(roll)
    scenario.kube.patch("podrolls", scenario.namespace, roll, {"spec": {"cancel": True}})
    status = scenario.wait_until_ended(roll)
    assert (status["phase"], status["reason"]) == ("Aborted", "Canceled"), status
    left = {p["metadata"]["uid"] for p in scenario.wait_until_settled(replicas)}
    assert left == {p["metadata"]["uid"] for p in first}, "another pod than the replacement was deleted"


def roll_with_two_budgets(scenario: RollScenario) -> None:
    """Roll a pod that two PodDisruptionBudgets select: no eviction of it is possible, so nothing is changed."""
    scenario.deploy(1, STRICT_BUDGET)
    scenario.start_load()
    second = {"metadata": {"name": "second"}, "spec": {"selector": {"matchLabels": {"app": APP}}, "minAvailable": 0}}
    scenario.kube.create("poddisruptionbudgets", scenario.namespace, second)
    (old,) = scenario.list_pods()
    status = scenario.wait_until_ended(scenario.create_roll(old))
    assert (status["phase"], status["reason"]) == ("Failed", "EvictionRefused"), status
    assert "more than one PodDisruptionBudget" in status["message"], status["message"]
    assert "release" not in status, "the pod was released"
    (left,) = scenario.wait_until_settled(1)
    for part in ("uid", "labels", "annotations", "ownerReferences"):
        assert left["metadata"].get(part) == old["metadata"].get(part), part


CASES = [
    SoakCase("rollout-1", lambda scenario, _: roll_out(1, scenario)),
    SoakCase("rollout-3", lambda scenario, _: roll_out(3, scenario)),
    SoakCase("scaled-up", lambda scenario, _: scale_during_surge(1, 3, scenario)),
    SoakCase("scaled-down", lambda scenario, _: scale_during_surge(3, 1, scenario)),
    SoakCase("scaled-to-zero", lambda scenario, _: scale_to_zero(scenario), lossless=False),
    SoakCase("workload-deleted", lambda scenario, _: delete_workload(scenario), lossless=False),
    SoakCase("node-drained", lambda scenario, _: drain_node(scenario), alone=True),
    SoakCase("rolls-deleted-early", lambda scenario, _: delete_roll_early(scenario)),
    SoakCase("rolls-deleted-late", lambda scenario, _: delete_roll_late(scenario)),
    SoakCase("canceled", lambda scenario, _: cancel_roll(scenario)),
    SoakCase("canceled-late-1", lambda scenario, _: cancel_late(1, scenario)),
    SoakCase("canceled-late-3", lambda scenario, _: cancel_late(3, scenario)),
    SoakCase("two-budgets", lambda scenario, _: roll_with_two_budgets(scenario)),
]
