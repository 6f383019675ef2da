"""Workloads whose spec restricts how a pod is replaced: `strategy: Recreate`, and `minReadySeconds`."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from tests.e2e import objects
from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, FINAL, KEEP_ALIVE_S, is_ready, wait_until

if TYPE_CHECKING:
    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

MIN_READY_S = 10
STRICT_BUDGET = {"minAvailable": "100%"}
GRACE_S = 10
"""Grace period of the pods in seconds, as in `objects.pod_template`."""
ENDED = ("Succeeded", "Failed")


def recreate(scenario: RollScenario, _: int) -> None:
    """Roll the only pod of a Deployment with `strategy: Recreate`: a Surge is refused, Auto restarts the workload.

    The load ends before the restart, which is an outage by the workload's own choice; no two pods run at once.
    """
    deploy(scenario, 1, strategy={"type": "Recreate"})
    scenario.start_load()
    (old,) = scenario.list_pods()
    reason = f"Deployment/{APP} has strategy Recreate (two of its pods must never run at once)"
    status = scenario.wait_until_ended(scenario.create_roll(old, strategy="Surge"))
    assert (status["phase"], status["reason"]) == ("Failed", "Refused"), status
    assert status["message"] == f"strategy Surge is set in the spec, but {reason}"
    scenario.stop_load()
    roll, most = scenario.create_roll(old), 0

    def observe() -> bool:
        nonlocal most
        most = max(most, sum(p["status"].get("phase") not in ENDED for p in scenario.list_pods()))
        return scenario.get_phase(roll) in FINAL

    wait_until(f"the end of {roll}", observe)
    status = scenario.wait_until_ended(roll)
    assert (status["phase"], status["strategy"], status["strategyReason"]) == ("Succeeded", "Restart", reason), status
    assert most == 1, f"{most} pods existed at once"
    (new,) = scenario.wait_until_settled(1)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


def wait_min_ready_seconds(replicas: int, scenario: RollScenario, _: int) -> None:
    """Roll a pod of a Deployment with `minReadySeconds`: it stays until its replacement is available."""
    deploy(scenario, replicas, STRICT_BUDGET, minReadySeconds=MIN_READY_S)
    scenario.start_load()
    old = scenario.get_oldest_pod()
    roll = scenario.create_roll(old)

    def find_deleted() -> Json | None:
        found = next((p for p in scenario.list_pods() if p["metadata"]["uid"] == old["metadata"]["uid"]), None)
        assert found, "the old pod vanished"
        return found if "deletionTimestamp" in found["metadata"] else None

    deleted = wait_until("the eviction of the old pod", find_deleted)
    assert deleted
    evicted_at = datetime.fromisoformat(deleted["metadata"]["deletionTimestamp"]).timestamp() - GRACE_S
    status = scenario.wait_until_ended(roll)
    assert (status["phase"], status["strategy"]) == ("Succeeded", "Surge"), status
    new = scenario.get_pod(status["replacement"]["name"])
    assert new, "the replacement vanished"
    waited_s = evicted_at - ready_at(new)
    assert waited_s >= MIN_READY_S - 1, f"the old pod was evicted {waited_s:.0f} s after its replacement was Ready"
    scenario.wait_until_settled(replicas)


def ready_at(pod: Json) -> float:
    """Return the time at which the pod became Ready, in whole seconds as the API server has it."""
    assert is_ready(pod)
    (condition,) = (c for c in pod["status"]["conditions"] if c["type"] == "Ready")
    return datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()


def deploy(scenario: RollScenario, replicas: int, budget: Json | None = None, **spec: object) -> None:
    """Deploy the service with these fields in the Deployment's spec."""
    workload, service, pdb = objects.deployment(
        scenario.namespace, APP, scenario.image, replicas, KEEP_ALIVE_S=KEEP_ALIVE_S
    )
    workload["spec"] |= spec
    pdb["spec"] = {"selector": pdb["spec"]["selector"], **(budget or {})}
    scenario.cluster.apply(workload, service, *([pdb] if budget else []))
    scenario.wait_until_settled(replicas)


CASES = [
    SoakCase("recreate", recreate),
    *(SoakCase(f"min-ready-seconds-{replicas}", partial(wait_min_ready_seconds, replicas)) for replicas in (1, 3)),
]
