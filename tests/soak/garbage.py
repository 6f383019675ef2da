"""Deletions by users during a surge, each way in which the garbage collector can treat the dependents.

Until its replacement is Ready, a released pod is owned by the workload, then by the PodRoll. So it stays when a PodRoll
is deleted too early, goes when it is no longer needed, and goes with its workload.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.soak.cases import SoakCase
from tests.soak.disturbances import SLOW_START, check_aborted, is_owned_by_roll, start_surge
from tests.soak.roll_scenario import APP, FINAL, is_deleting, is_ready, is_released, owner_kinds, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

PROPAGATIONS = ("Background", "Foreground", "Orphan")


def wait_until_blocked(scenario: RollScenario, replicas: int) -> tuple[str, Json]:
    """Deploy, and roll a pod until it is owned by its PodRoll and a PodDisruptionBudget blocks its eviction.

    Return the PodRoll's name and the pod.
    """
    scenario.deploy(replicas, {"minAvailable": replicas + 1}, env=SLOW_START)
    scenario.start_load()
    old = scenario.get_oldest_pod()
    roll = scenario.create_roll(old)
    wait_until(
        "a blocked eviction",
        lambda: scenario.get_phase(roll) in ("Evicting", *FINAL) and is_owned_by_roll(scenario, roll),
    )
    assert scenario.get_phase(roll) == "Evicting", scenario.get_roll_status(roll)
    assert sum(is_ready(p) for p in scenario.list_pods()) == replicas + 1
    return roll, old


def delete_roll_early(replicas: int, propagation: str, scenario: RollScenario) -> None:
    """Delete the PodRoll before the replacement is Ready: the same pods serve afterwards, and none less meanwhile."""
    roll = start_surge(scenario, replicas)
    first = {p["metadata"]["uid"] for p in scenario.list_pods() if is_ready(p)}
    scenario.kube.delete("podrolls", scenario.namespace, roll, propagation)
    left = {p["metadata"]["uid"] for p in wait_until_settled(scenario, replicas)}
    assert left == first, "a Ready pod was deleted"


def delete_roll_late(replicas: int, propagation: str, scenario: RollScenario) -> None:
    """Delete the PodRoll when the replacement is Ready: the old pod goes.

    If the garbage collector has orphaned it, memroll restores it, and the ReplicaSet deletes any of the pods.
    """
    roll, old = wait_until_blocked(scenario, replicas)
    scenario.kube.delete("podrolls", scenario.namespace, roll, propagation)
    left = {p["metadata"]["uid"] for p in wait_until_settled(scenario, replicas)}
    assert propagation == "Orphan" or old["metadata"]["uid"] not in left, "the old pod remains"


def wait_until_settled(scenario: RollScenario, replicas: int) -> list[Json]:
    """Wait until the workload is settled; meanwhile never fewer Ready pods than its replicas exist."""
    fewest = replicas

    def observe() -> bool:
        nonlocal fewest
        pods = scenario.list_pods()
        fewest = min(fewest, sum(is_ready(p) and not is_deleting(p) for p in pods))
        return len(pods) == replicas and not any(map(is_released, pods))

    wait_until(f"{replicas} pods of which none is released", observe)
    assert fewest == replicas, f"only {fewest} of {replicas} pods were Ready"
    return scenario.wait_until_settled(replicas)


def delete_workload_early(propagation: str, scenario: RollScenario) -> None:
    delete_workload(scenario, start_surge(scenario, 3), propagation)


def delete_workload_late(propagation: str, scenario: RollScenario) -> None:
    roll, _ = wait_until_blocked(scenario, 3)
    delete_workload(scenario, roll, propagation)


def delete_workload(scenario: RollScenario, roll: str, propagation: str) -> None:
    """Delete the Deployment: all pods go, also the released one, which a PodDisruptionBudget keeps from an eviction."""
    scenario.kube.delete("deployments", scenario.namespace, APP, propagation)
    scenario.wait_until_ended(roll)
    wait_until("the deletion of all pods", lambda: not scenario.list_pods())
    check_aborted(scenario, "WorkloadGone")


def orphan_pods_early(scenario: RollScenario) -> None:
    """Delete only the Deployment before the replacement is Ready: its ReplicaSet and its pods keep serving."""
    check_orphaned(scenario, start_surge(scenario, 3))


def orphan_pods_late(scenario: RollScenario) -> None:
    """The same when the replacement is Ready; then the PodDisruptionBudget is deleted, which blocks the eviction."""
    roll, _ = wait_until_blocked(scenario, 3)
    check_orphaned(scenario, roll)


def check_orphaned(scenario: RollScenario, roll: str) -> None:
    scenario.kube.delete("deployments", scenario.namespace, APP, "Orphan")
    scenario.kube.delete("poddisruptionbudgets", scenario.namespace, APP)
    scenario.wait_until_ended(roll)

    def are_settled() -> bool:
        pods = scenario.list_pods()
        are_own = all(is_ready(p) and not is_deleting(p) and owner_kinds(p) == ["ReplicaSet"] for p in pods)
        return len(pods) == 3 and are_own and not any(map(is_released, pods))

    wait_until("three settled pods", are_settled)


def _case(name: str, run: Callable[[RollScenario], None], *, lossless: bool = True) -> SoakCase:
    return SoakCase(f"gc-{name}", lambda scenario, _: run(scenario), lossless=lossless)


CASES = [
    *(
        _case(f"roll-{moment}-{propagation.lower()}-{replicas}", partial(run, replicas, propagation))
        for moment, run in (("early", delete_roll_early), ("late", delete_roll_late))
        for propagation in PROPAGATIONS
        for replicas in (1, 3)
        if (propagation, replicas) != ("Background", 1)  # `rolls-deleted-early` and `rolls-deleted-late`
    ),
    *(
        _case(f"workload-{moment}-{propagation.lower()}", partial(run, propagation), lossless=False)
        for moment, run in (("early", delete_workload_early), ("late", delete_workload_late))
        for propagation in ("Background", "Foreground")
    ),
    _case("workload-early-orphan", orphan_pods_early),
    _case("workload-late-orphan", orphan_pods_late),
]
