"""Several PodRolls of one pod, created at once: one is carried out, and canceling it leaves the pod in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, FINAL, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

COUNT = 8
NO_EVICTION = {"minAvailable": 2}
"""PodDisruptionBudget that blocks the eviction of a pod although its replacement is Ready: the surge lasts."""


def roll_once(scenario: RollScenario, _: int) -> None:
    scenario.deploy(1, NO_EVICTION)
    scenario.start_load()
    (old,) = scenario.list_pods()
    name = old["metadata"]["name"]
    rolls = scenario.create_rolls(*[name] * COUNT)
    canceled = wait_until("the end of all rolls but one", lambda: find_the_one_in_progress(scenario))
    check_refused(scenario.wait_until_ended(roll) for roll in rolls if roll != canceled)
    scenario.kube.patch("podrolls", scenario.namespace, canceled, {"spec": {"cancel": True}})
    status = scenario.wait_until_ended(canceled)
    assert (status["phase"], status["reason"]) == ("Aborted", "Canceled"), status
    (left,) = scenario.wait_until_settled(1)
    assert left["metadata"]["uid"] == old["metadata"]["uid"], "the pod of a canceled roll is gone"

    scenario.kube.delete("poddisruptionbudgets", scenario.namespace, APP)
    rolls = scenario.create_rolls(*[name] * COUNT)
    ended = {roll: scenario.wait_until_ended(roll) for roll in rolls}
    (carried_out,) = (roll for roll, status in ended.items() if status["phase"] == "Succeeded")
    check_refused(status for roll, status in ended.items() if roll != carried_out)
    (left,) = scenario.wait_until_settled(1)
    assert left["metadata"]["name"] == ended[carried_out]["replacement"]["name"]


def find_the_one_in_progress(scenario: RollScenario) -> str:
    """Return the name of the only roll in progress once its replacement is Ready and its eviction is blocked."""
    active: list[Json] = [r for r in scenario.list_rolls() if r.get("status", {}).get("phase") not in FINAL]
    is_evicting = [r.get("status", {}).get("phase") == "Evicting" for r in active]
    return str(active[0]["metadata"]["name"]) if is_evicting == [True] else ""


def check_refused(statuses: Iterable[Json]) -> None:
    """Check that rolls have ended without a change, because of another one."""
    for status in statuses:
        assert (status["phase"], status["reason"]) in (("Aborted", "Refused"), ("Aborted", "PodGone")), status
        assert "release" not in status, f"the pod was released twice: {status}"


CASES = [SoakCase("two-rolls-of-one-pod", roll_once)]
