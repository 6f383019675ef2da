"""Condition CannotKeepUp: pods that reach their limit before their roll can start, with the cause and the remedy."""

from __future__ import annotations

import pytest

from memroll.planning.plan import make_plan
from tests.builders import above_threshold_verdict, at, candidate, container, context, leak_verdict, pod, roll, workload
from tests.unit.planning.fleet import Fleet
from tests.unit.planning.test_schedule import HOUR, measured

FOUR_A_DAY = {"budgets": [{"rolls": 4, "per": "24h"}]}
FLEETS = [(5, 60), (9, 72), (10, 72), (20, 72)]
"""Replicas, and hours from their start to their limit."""


@pytest.mark.parametrize(("replicas", "life_h"), FLEETS)
def test_with_the_default_budget_a_fleet_that_leaks_together_is_rolled_in_time(replicas, life_h):
    fleet = Fleet(replicas, life_h).run(life_h + 30)
    assert fleet.late == []
    assert fleet.shortfalls == []
    assert len(fleet.rolled) >= replicas


@pytest.mark.parametrize(("replicas", "life_h"), FLEETS)
@pytest.mark.parametrize("known_after_h", [7, 24])
def test_with_four_rolls_a_day_a_fleet_is_rolled_in_time_or_reported_before_the_first_pod_is_late(
    replicas, life_h, known_after_h
):
    fleet = Fleet(replicas, life_h, FOUR_A_DAY, known_after_h).run(life_h + 1)
    if not fleet.late:
        assert fleet.shortfalls == []
        assert fleet.rolled[0] < life_h - 24, "the first ones start early"
    else:
        reported_h, shortfall = fleet.shortfalls[0]
        assert reported_h <= fleet.late[0] - 24, "a day before the first pod is late"
        assert shortfall.reason == "BudgetTooSmall"


def test_ten_pods_that_are_known_early_are_rolled_in_time_by_four_rolls_a_day():
    assert Fleet(10, 72, FOUR_A_DAY, known_after_h=7).run(75).late == []


def test_a_pod_that_lives_for_five_hours_needs_more_than_the_default_and_is_reported_before_it_is_late():
    fleet = Fleet(1, 5).run(24)
    reported_h, shortfall = fleet.shortfalls[0]
    assert reported_h < 5 < fleet.late[0]
    assert shortfall.message == (
        "the budget of 4 rolls per 24h is less than the 4.8 rolls that 1 pod of Deployment/leaky needs in this time:"
        " the first reaches its limit 5h after its start. Raise roll.budgets"
    )
    assert Fleet(1, 5, {"budgets": [{"rolls": 7, "per": "24h"}]}).run(48).late == []


def leaks(count: int, left_h: float, *, age_h: float = 200, due: bool = True):
    return [
        candidate(
            pod=pod(f"p{i}", containers=(container(started_at=at(-age_h * HOUR)),)),
            verdict=leak_verdict(left_h * HOUR, lead_s=2 * HOUR, due=due),
            workload=workload(controller_replicas=10),
        )
        for i in range(count)
    ]


NIGHT = {"allow": [{"start": "22:00", "end": "22:30"}], "whenLimitComesFirst": "Hold"}
CAUSES = [
    pytest.param({}, 4, 1.5, "", id="enough time for all"),
    pytest.param(
        {"budgets": [{"rolls": 2, "per": "24h"}, {"rolls": 9, "per": "1h"}]}, 5, 20, "BudgetTooSmall",
        id="a budget that is spent",
    ),
    pytest.param({"budgets": [{"rolls": 0, "per": "24h"}]}, 1, 20, "BudgetTooSmall", id="a budget of zero"),
    pytest.param({"cooldown": "1h"}, 4, 1.5, "PaceTooSlow", id="one roll at a time"),
    pytest.param({"cooldown": "1h", "maxConcurrent": 2}, 4, 1.5, "", id="two rolls at a time"),
    pytest.param({"maintenanceWindows": NIGHT}, 1, 5, "WindowsTooShort", id="a window that opens too late"),
    pytest.param({"maintenanceWindows": NIGHT | {"whenLimitComesFirst": "Roll"}}, 1, 5, "", id="the same with Roll"),
    pytest.param({"maintenanceWindows": NIGHT}, 1, 11, "", id="a window that opens in time"),
    pytest.param(
        {"cooldown": "1h", "budgets": [{"rolls": 1, "per": "1h"}]}, 4, 1.5, "PaceTooSlow", id="several causes at once",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "pods", "left_h", "reason"), CAUSES)
def test_the_cause_is_the_field_without_which_fewer_pods_would_be_late(spec, pods, left_h, reason):
    plan = make_plan(leaks(pods, left_h), context(measured(300), policy={"roll": {"cooldown": "10m"} | spec}))
    assert (plan.shortfall.reason if plan.shortfall else "") == reason


def message(spec, pods, left_h) -> str:
    shortfall = make_plan(leaks(pods, left_h), context(measured(300), policy={"roll": spec})).shortfall
    assert shortfall is not None
    return shortfall.message


def test_the_message_has_the_numbers_and_the_remedy():
    assert message({"budgets": [{"rolls": 2, "per": "24h"}]}, 5, 20) == (
        "3 of 5 pods of Deployment/leaky reach their limit before the budget of 2 rolls per 24h allows the roll:"
        " raise roll.budgets"
    )
    assert message({"cooldown": "1h"}, 3, 1.5) == (
        "1 of 3 pods of Deployment/leaky reaches its limit before it is its turn, with 1 roll per 1h5m"
        " (cooldown included): raise roll.maxConcurrent or reduce roll.cooldown"
    )
    assert message({"maintenanceWindows": NIGHT}, 1, 5) == (
        "1 of 1 pods of Deployment/leaky reaches its limit before a maintenance window has room for the roll:"
        " add maintenance windows, or set whenLimitComesFirst: Roll"
    )


def test_rolls_that_were_made_and_rolls_in_progress_count():
    spec = {"roll": {"cooldown": "10m", "budgets": [{"rolls": 2, "per": "24h"}]}}
    used = [roll("Succeeded", created=at(-HOUR)), roll("Replacing", created=at(-60), spec={"podUID": "uid-other"})]
    assert make_plan(leaks(1, 20), context(used[0], policy=spec)).shortfall is None
    assert make_plan(leaks(1, 20), context(*used, policy=spec)).shortfall is not None


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        pytest.param({}, {"mode": "Observe"}, id="a policy that only observes"),
        pytest.param({"pod": pod("protected", annotations={"memroll.dev/do-not-disrupt": "true"})}, {}, id="protected"),
        pytest.param({"verdict": above_threshold_verdict()}, {}, id="a pod above its usage threshold"),
        pytest.param({"verdict": leak_verdict(HOUR, lead_s=2 * HOUR, due=False)}, {}, id="a leak that failed a check"),
    ],
)
def test_a_pod_that_waits_for_something_else_is_not_late(changes, policy):
    spent = {"roll": {"budgets": [{"rolls": 1, "per": "24h"}]}}
    waiting = candidate(**({"verdict": leak_verdict(HOUR)} | changes))
    around = context(roll("Succeeded", created=at(-HOUR), spec={"podUID": "other"}), policy=spent | policy)
    assert make_plan([waiting], around).shortfall is None
