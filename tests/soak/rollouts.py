"""Rolls of pods of an Argo Rollout, with its real controller, which writes the template hash into Services.

Without such Services a pod is surged, with them it is evicted: see `hash_services.py`.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo.cluster import run_localcluster
from tests.e2e import objects
from tests.soak.cases import SoakCase
from tests.soak.hash_services import (
    NONE_UNAVAILABLE,
    ONE_UNAVAILABLE,
    check_blocked_roll,
    check_rolls,
    get_selectors,
    stop_slowly,
)
from tests.soak.roll_scenario import APP, KEEP_ALIVE_S, is_deleting, is_ready, owner_kinds, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_demo.cluster import DemoCluster
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

CONTROLLER = "argo-rollouts"
"""Component of the local cluster."""
CRDS = ("rollouts", "experiments", "analysisruns", "analysistemplates", "clusteranalysistemplates")
API_VERSION = "argoproj.io/v1alpha1"
ROLLOUT_HASH = "rollouts-pod-template-hash"
OTHER = f"{APP}-other"
"""Name of the second Service: the preview of a blue-green Rollout, the canary Service of the other kind."""
BLUE_GREEN = {"blueGreen": {"activeService": APP}}
WITH_PREVIEW = {"blueGreen": {"activeService": APP, "previewService": OTHER}}
STABLE_SERVICE = {"canary": {"stableService": APP}}
WITH_CANARY_SERVICE = {"canary": {"stableService": APP, "canaryService": OTHER}}
CANARY: Json = {"canary": {}}
PAUSED_CANARY = {"canary": {"steps": [{"setWeight": 34}, {"pause": {}}]}}
STRICT_BUDGET = {"minAvailable": "100%"}
ROLLS = 5
STEPS_S = 8
"""Time in seconds in which a roll makes several steps."""


def start_controller() -> None:
    """Start the controller of Rollouts; it is built first if necessary, which takes some minutes."""
    run_localcluster("start", CONTROLLER, show=True)


def stop_controller(cluster: DemoCluster) -> None:
    """Stop the controller, and delete its CRDs with all objects, so that the cluster is as before."""
    run_localcluster("stop", CONTROLLER)
    cluster.kubectl("delete", "crd", *(f"{name}.argoproj.io" for name in CRDS), "--ignore-not-found")


def deploy_rollout(
    scenario: RollScenario,
    replicas: int,
    strategy: Json,
    budget: Json | None = None,
    change: Callable[[Json], None] | None = None,
) -> None:
    """Apply a Rollout, its two Services and its PodDisruptionBudget, and wait until its controller has settled it."""
    workload, service, pdb = objects.deployment(
        scenario.namespace, APP, scenario.image, replicas, KEEP_ALIVE_S=KEEP_ALIVE_S
    )
    if change:
        change(workload["spec"]["template"])
    rollout = workload | {"apiVersion": API_VERSION, "kind": "Rollout"}
    rollout["spec"] |= {"strategy": strategy}
    other = service | {"metadata": service["metadata"] | {"name": OTHER}}
    pdb["spec"] = {"selector": pdb["spec"]["selector"], **(budget or {})}
    scenario.plural = "rollouts"
    scenario.cluster.apply(service, other, rollout, *([pdb] if budget else []))
    scenario.wait_until_settled(replicas)
    wait_until("a healthy Rollout with its Services", lambda: is_healthy(scenario, strategy))


def is_healthy(scenario: RollScenario, strategy: Json) -> bool:
    """Return whether the Rollout is healthy, and each Service that its strategy names selects by its stable hash."""
    status = scenario.get_workload().get("status", {})
    (options,) = strategy.values()
    selectors = get_selectors(scenario)
    hashes = {selectors[name].get(ROLLOUT_HASH) for key, name in options.items() if key.endswith("Service")}
    return status.get("phase") == "Healthy" and hashes <= {status.get("stableRS")}


def surge_repeatedly(replicas: int, scenario: RollScenario, rolls: int) -> None:
    """Surge the oldest pod again and again. No Service selects by the hash, and no spec is changed."""
    deploy_rollout(scenario, replicas, CANARY, STRICT_BUDGET)
    before = scenario.get_generations()
    scenario.start_load()
    for _ in range(rolls):
        old = scenario.get_oldest_pod()
        status = scenario.wait_until_ended(scenario.create_roll(old))
        assert (status["phase"], status["strategy"]) == ("Succeeded", "Surge"), status
        assert (status["workload"]["kind"], status["release"]["hashLabel"]) == ("Rollout", ROLLOUT_HASH), status
        left = {p["metadata"]["uid"] for p in scenario.wait_until_settled(replicas)}
        assert old["metadata"]["uid"] not in left, "the rolled pod still exists"
    assert scenario.get_generations() == before, "a spec was changed"
    assert is_healthy(scenario, CANARY)


def roll_selected(replicas: int, strategy: Json, scenario: RollScenario) -> None:
    """Roll a pod that the Rollout's Services select by its hash."""
    deploy_rollout(scenario, replicas, strategy, ONE_UNAVAILABLE, stop_slowly if replicas == 1 else None)
    scenario.start_load()
    check_rolls(scenario, replicas, ROLLOUT_HASH)
    wait_until("a healthy Rollout", lambda: is_healthy(scenario, strategy))


def roll_blocked(strategy: Json, scenario: RollScenario) -> None:
    deploy_rollout(scenario, 1, strategy, NONE_UNAVAILABLE)
    scenario.start_load()
    check_blocked_roll(scenario, ROLLOUT_HASH)


def roll_during_pause(scenario: RollScenario) -> None:
    """Roll a pod of each version while a canary is paused: the controller decides on the pods then, so none is."""
    deploy_rollout(scenario, 3, PAUSED_CANARY)
    scenario.start_load()
    template = {"metadata": {"annotations": {"example.com/version": "2"}}}
    scenario.kube.patch("rollouts", scenario.namespace, APP, {"spec": {"template": template}})
    wait_until("a paused Rollout", lambda: scenario.get_workload()["status"].get("phase") == "Paused")
    pods = scenario.list_pods()
    for pod in (pods[0], pods[-1]):
        status = scenario.wait_until_ended(scenario.create_roll(pod))
        assert (status["phase"], status["reason"]) == ("Aborted", "WorkloadChanging"), status
        assert f"Rollout/{APP} is updating from " in status["message"], status["message"]
    names = {p["metadata"]["name"] for p in scenario.list_pods()}
    assert {pods[0]["metadata"]["name"], pods[-1]["metadata"]["name"]} <= names


def start_slowly(template: Json) -> None:
    template["spec"]["containers"][0]["env"].append({"name": "READY_AFTER_S", "value": "6"})


def restart(scenario: RollScenario) -> None:
    """Let the controller restart all pods by `spec.restartAt`: the roll ends when the last one is replaced.

    The rolled pod is the first by name, and so the first that the controller evicts. Then a PodDisruptionBudget blocks
    the evictions of the others for a while, during which all pods are Ready.
    """
    deploy_rollout(scenario, 3, BLUE_GREEN, ONE_UNAVAILABLE, start_slowly)
    scenario.start_load()
    first = {p["metadata"]["uid"] for p in scenario.list_pods()}
    old = min(scenario.list_pods(), key=lambda p: p["metadata"]["name"])
    roll = scenario.create_roll(old, strategy="Restart")
    wait_until("the eviction of the first pod", lambda: any(map(is_deleting, scenario.list_pods())))
    scenario.kube.patch("poddisruptionbudgets", scenario.namespace, APP, {"spec": NONE_UNAVAILABLE})
    wait_until(
        "its replacement", lambda: [is_ready(p) and not is_deleting(p) for p in scenario.list_pods()] == [True] * 3
    )
    ready_at = time.monotonic()
    wait_until("some steps of the roll", lambda: time.monotonic() - ready_at > STEPS_S)
    assert scenario.get_phase(roll) == "Replacing", scenario.get_roll_status(roll)
    scenario.kube.patch("poddisruptionbudgets", scenario.namespace, APP, {"spec": ONE_UNAVAILABLE})
    status = scenario.wait_until_ended(roll, timeout_s=300)
    assert (status["phase"], status["strategy"]) == ("Succeeded", "Restart"), status
    left = {p["metadata"]["uid"] for p in scenario.list_pods() if not is_deleting(p)}
    assert not left & first, f"{len(left & first)} of 3 pods were not restarted when the roll had ended"
    scenario.wait_until_settled(3)


def delete_rollout(scenario: RollScenario) -> None:
    """Delete the Rollout while the replacement starts: its released pod goes with the others."""

    deploy_rollout(scenario, 1, CANARY, STRICT_BUDGET, start_slowly)
    roll = scenario.create_roll(scenario.get_oldest_pod())
    released = next(p for p in scenario.wait_until_surging(roll) if "Rollout" in owner_kinds(p))
    assert owner_kinds(released) == ["Rollout"]
    scenario.kube.delete("rollouts", scenario.namespace, APP)
    status = scenario.wait_until_ended(roll)
    wait_until("the deletion of all pods", lambda: not scenario.list_pods())
    assert (status["phase"], status["reason"]) == ("Aborted", "WorkloadGone"), status


SELECTED = {
    "blue-green": BLUE_GREEN,
    "blue-green-preview": WITH_PREVIEW,
    "canary-stable": STABLE_SERVICE,
    "canary-both": WITH_CANARY_SERVICE,
}
"""Strategies of Rollouts with Services that select by the template hash."""


def _case(name: str, run: Callable[[RollScenario], None], *, lossless: bool = True) -> SoakCase:
    return SoakCase(f"argo-{name}", lambda scenario, _: run(scenario), lossless=lossless, rollouts=True)


CASES = [
    *(
        SoakCase(f"argo-canary-{replicas}", partial(surge_repeatedly, replicas), ROLLS, rollouts=True)
        for replicas in (1, 3)
    ),
    *(
        _case(f"{name}-{replicas}", partial(roll_selected, replicas, strategy))
        for name, strategy in SELECTED.items()
        for replicas in (1, 3)
    ),
    _case("blue-green-blocked", partial(roll_blocked, BLUE_GREEN)),
    _case("canary-paused", roll_during_pause),
    _case("restart", restart),
    _case("deleted", delete_rollout, lossless=False),
]
