"""A roll takes few requests to the API server: 23 for its steps, and then less than one each five seconds."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.controller.requeue import AFTER_CONFLICT_S
from tests.model.objects import budget, is_deleting, is_ready, name_of
from tests.scenario.roll_requests import ROLL, RollRequests

MAX_REQUESTS_OF_STEPS = 23
"""Requests of a roll whose pods start and end at once; they were 131 when each roll was polled each second."""
MAX_REQUESTS_UNPLANNED = 34
"""The same for a roll that this process has not planned just before."""
DRAIN = {"drain": {"mode": "Detach", "minDuration": "120s", "timeout": "300s"}}
CLOSED: dict[str, Any] = {"maxUnavailable": 0}


@pytest.mark.parametrize(
    ("planned", "max_requests"),
    [
        pytest.param({"is_planned": True}, MAX_REQUESTS_OF_STEPS, id="planned"),
        pytest.param({"is_planned": False}, MAX_REQUESTS_UNPLANNED, id="by hand"),
    ],
)
async def test_the_steps_of_a_roll_take_a_bounded_number_of_requests(planned: dict[str, bool], max_requests: int):
    roll = await RollRequests(start_s=2, grace_s=2, **planned).run()
    assert roll.status["phase"] == "Succeeded"
    assert roll.requests <= max_requests, roll.api.by_phase


@pytest.mark.parametrize(("is_indexed", "lists", "more_requests"), [(True, 0, 0), (False, 3, 3)])
async def test_the_other_rolls_of_a_namespace_are_listed_without_their_evidence(
    is_indexed: bool,  # noqa: FBT001 - a parameter
    lists: int,
    more_requests: int,
):
    """Without the index, the record of the roll is also read by each later step."""
    roll = await RollRequests(start_s=2, grace_s=2, finished_rolls=30, is_indexed=is_indexed).run()
    assert roll.status["phase"] == "Succeeded"
    assert roll.requests <= MAX_REQUESTS_OF_STEPS + more_requests, roll.api.by_kind
    assert roll.api.lists_with_evidence == lists


@pytest.mark.parametrize(
    ("case", "phase", "max_per_s"),
    [
        pytest.param({"start_s": 20, "grace_s": 30}, "Succeeded", 1.05, id="less than a minute"),
        pytest.param({"start_s": 40, "grace_s": 30}, "Succeeded", 0.85, id="a common one"),
        pytest.param({"start_s": 400, "grace_s": 600}, "Succeeded", 0.4, id="a model server"),
        pytest.param({"start_s": 20, "grace_s": 30, "spec": DRAIN}, "Succeeded", 0.7, id="a drain"),
        pytest.param(
            {"budget_spec": CLOSED, "spec": {"strategy": "Evict"}}, "Failed", 0.5, id="a budget that allows none"
        ),
        pytest.param({"start_s": 9000}, "Failed", 0.4, id="a replacement that is never Ready"),
        pytest.param({"start_s": 400, "grace_s": 60, "is_watched": False}, "Succeeded", 1.0, id="not watched"),
    ],
)
async def test_a_roll_takes_at_most_one_request_each_second(case: dict[str, Any], phase: str, max_per_s: float):
    roll = await RollRequests(**case).run()
    assert roll.status["phase"] == phase
    assert roll.per_s <= max_per_s, roll.api.by_phase


@pytest.mark.parametrize("start_s", [2, 7, 33, 61, 300])
async def test_a_watched_pod_is_evicted_as_soon_as_its_replacement_is_ready(start_s: float):
    roll = await RollRequests(start_s=start_s, grace_s=5).run()
    assert roll.evicted_at_s - roll.ready_at_s <= 1


async def test_a_pod_that_is_not_watched_is_evicted_a_few_seconds_after_its_replacement_is_ready():
    roll = await RollRequests(start_s=61, grace_s=5, is_watched=False).run()
    assert roll.evicted_at_s - roll.ready_at_s <= 5


@pytest.mark.parametrize(
    ("case", "max_s"),
    [
        pytest.param({"start_s": 3, "grace_s": 17}, 3 + 17 + 4, id="it is gone"),
        pytest.param({"start_s": 3, "grace_s": 600}, 3 + 30 + 4, id="it terminates for longer than that is waited for"),
        pytest.param({"start_s": 3, "grace_s": 17, "spec": DRAIN}, 3 + 120 + 17 + 14, id="it was detached"),
    ],
)
async def test_a_roll_ends_soon_after_its_pod(case: dict[str, Any], max_s: float):
    """A cooldown begins with its end."""
    roll = await RollRequests(**case).run()
    assert roll.status["phase"] == "Succeeded"
    assert roll.lasted_s <= max_s


async def test_the_first_change_is_decided_from_a_fresh_observation():
    """Evidence is captured with what the announcement has observed; then the pod may have become protected."""
    roll = RollRequests(start_s=5, grace_s=5)
    await roll.controller.reconcile(ROLL)
    assert roll.status["phase"] == "CapturingEvidence"
    note = {"metadata": {"annotations": {"memroll.dev/do-not-disrupt": "true"}}}
    roll.server.update("pods", roll.cluster.list_pods()[0], note)
    await roll.controller.reconcile(ROLL)
    assert (roll.status["phase"], roll.status["reason"]) == ("Aborted", "Refused")


async def test_a_planned_roll_of_a_protected_pod_is_refused_when_it_is_announced():
    roll = RollRequests()
    note = {"metadata": {"annotations": {"memroll.dev/do-not-disrupt": "true"}}}
    roll.server.update("pods", roll.cluster.list_pods()[0], note)
    await roll.controller.reconcile(ROLL)
    assert (roll.status["phase"], roll.status["reason"]) == ("Aborted", "Refused")


async def test_what_began_after_the_plan_of_a_roll_ends_it_before_its_first_change():
    """Another process has begun a roll of the pod after this one was planned."""
    roll = RollRequests()
    other = {"metadata": {"name": "roll-0"}, "spec": roll.server.list("podrolls")[0]["spec"], "status": {}}
    created = roll._create("podrolls", other)
    roll.server.update("podrolls", created, {"status": {"phase": "Evicting"}})
    await roll.run()
    assert (roll.status["phase"], roll.status["reason"]) == ("Aborted", "Refused")
    assert "memroll.dev/roll" not in str(roll.cluster.list_pods())


async def test_a_record_that_was_changed_meanwhile_is_found_out_by_the_first_write():
    roll = RollRequests(start_s=5, grace_s=5)
    await roll.controller.reconcile(ROLL)
    (raw,) = roll.server.list("podrolls")
    roll.server.update("podrolls", raw, {"spec": {"cancel": True}})
    await roll.run()
    assert (roll.status["phase"], roll.status["reason"]) == ("Aborted", "Canceled")
    assert "memroll.dev/roll" not in str(roll.cluster.list_pods())


async def test_a_policy_that_is_suspended_while_evidence_is_captured_ends_the_roll():
    roll = RollRequests(start_s=5, grace_s=5)
    await roll.controller.reconcile(ROLL)
    (policy,) = roll.server.list("memorypolicies")
    roll.server.update("memorypolicies", policy, {"spec": {"suspend": True}})
    await roll.controller.reconcile(ROLL)
    assert (roll.status["phase"], roll.status["reason"]) == ("Aborted", "Withdrawn")


def cancel(roll: RollRequests) -> None:
    """Cancel the roll; the watch does not report it."""
    raw = next(r for r in roll.server.list("podrolls") if name_of(r) == ROLL.name)
    roll.server.update("podrolls", raw, {"spec": {"cancel": True}})


def evictions(roll: RollRequests) -> int:
    return roll.api.by_kind["POST pods"]


async def test_a_roll_that_is_canceled_while_the_watch_is_down_evicts_nothing():
    """The step that finds the replacement Ready has not read the record; its write is refused."""
    roll = RollRequests(start_s=2, grace_s=2)
    await roll.run_until(lambda: roll.status["phase"] == "Replacing")
    roll.run_pods(4)
    cancel(roll)
    assert await roll.controller.reconcile(ROLL) == AFTER_CONFLICT_S
    await roll.run()
    assert (roll.status["phase"], roll.status["reason"], evictions(roll)) == ("Aborted", "Canceled", 0)


async def test_an_eviction_is_not_repeated_once_the_roll_is_canceled():
    """A repeated eviction is not preceded by a write, but by a read of a record that was remembered."""
    roll = RollRequests(budget_spec=CLOSED, spec={"strategy": "Evict"})
    await roll.run_until(lambda: roll.status["phase"] == "Evicting" and evictions(roll) >= 2)
    before = evictions(roll)
    cancel(roll)
    await roll.run()
    assert (roll.status["phase"], roll.status["reason"]) == ("Aborted", "Canceled")
    assert evictions(roll) == before


async def test_a_canceled_roll_that_the_watch_reports_is_read():
    roll = RollRequests(start_s=9, grace_s=2)
    await roll.run_until(lambda: roll.status["phase"] == "Replacing")
    cancel(roll)
    index = roll.controller.context.rolls
    index.put(index.decode(roll.server.list("podrolls")[0]))
    await roll.controller.reconcile(ROLL)
    assert roll.status["message"].startswith("canceled")


async def test_a_step_of_a_roll_that_the_watch_reports_as_deleted_changes_nothing():
    roll = RollRequests(start_s=2, grace_s=2)
    await roll.run_until(lambda: roll.status["phase"] == "Replacing")
    roll.run_pods(4)
    (raw,) = roll.server.list("podrolls")
    roll.server.delete("podrolls", raw)
    roll.controller.context.rolls.remove_missing(*ROLL)
    assert await roll.controller.reconcile(ROLL) is None
    assert evictions(roll) == 0


async def test_two_budgets_end_a_roll_before_anything_is_changed():
    """The API server refuses each eviction then, and only a dry run has its own words."""
    roll = RollRequests(budget_spec=CLOSED)
    roll._create("poddisruptionbudgets", budget("another", **CLOSED) | {"spec": {"selector": {}} | CLOSED})
    await roll.run()
    assert (roll.status["phase"], roll.status["reason"]) == ("Failed", "EvictionRefused")
    assert "more than one PodDisruptionBudget" in roll.status["message"]
    assert "memroll.dev/roll" not in str(roll.cluster.list_pods())


@pytest.mark.parametrize("budget_spec", [{}, {"maxUnavailable": 1}])
async def test_without_two_budgets_no_eviction_is_tried_before_the_first_change(budget_spec: dict[str, Any]):
    roll = RollRequests(budget_spec=budget_spec)
    await roll.run_until(lambda: roll.status["phase"] == "Replacing")
    assert evictions(roll) == 0


async def test_the_ready_pods_are_counted_before_the_first_change_of_a_planned_roll():
    roll = RollRequests(replicas=3)
    await roll.controller.reconcile(ROLL)
    assert roll.status["readyBefore"] == 0
    await roll.controller.reconcile(ROLL)
    assert (roll.status["phase"], roll.status["readyBefore"]) == ("Replacing", 3)


async def test_the_pods_of_a_revision_that_began_during_a_roll_count(monkeypatch: pytest.MonkeyPatch):
    """The ReplicaSets are listed again, because the generation of the Deployment is new."""
    roll = RollRequests(start_s=4, grace_s=2)
    await roll.run_until(lambda: roll.status["phase"] == "Replacing")
    (raw,) = roll.server.list("deployments")
    template = {"metadata": {"annotations": {"example.com/restarted": "now"}}}
    roll.server.update("deployments", raw, {"spec": {"template": template}})
    ready: list[int] = []
    run_second = roll._run_second

    def counting() -> None:
        run_second()
        ready.append(sum(1 for p in roll.cluster.list_pods() if is_ready(p) and not is_deleting(p)))

    monkeypatch.setattr(roll, "_run_second", counting)
    await roll.run()
    newest = max(roll.server.list("replicasets"), key=lambda rs: rs["spec"]["replicas"])
    assert roll.status["phase"] == "Succeeded"
    assert roll.status["replacement"]["name"].startswith(name_of(newest))
    assert min(ready) == 2
