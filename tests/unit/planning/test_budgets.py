"""Budgets: rolls that count, times at which another roll may start, and starts that are early enough for them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.api.roll_spec import RollBudget
from memroll.model.pods import ObjectRef
from memroll.planning.budgets import BudgetLimit, BudgetTimeline, budget_users, used_times
from memroll.planning.maintenance_windows import FOREVER
from memroll.planning.schedule import schedule_candidates
from tests.builders import NOW, at, candidate, context, leak_verdict, pod, roll, workload
from tests.unit.planning.test_schedule import HOUR, LEAD_S, leak, measured

DAY = timedelta(hours=24)


@pytest.mark.parametrize(
    ("rolls", "pods", "maximum"),
    [(0, 50, 0), (4, 50, 4), (10_000, 1, 10_000), ("100%", 1, 4), ("100%", 50, 50), ("10%", 41, 5), ("10%", 20, 4)],
)
def test_a_budget_is_a_count_or_a_percentage_of_the_pods_and_then_at_least_four(rolls, pods, maximum):
    assert RollBudget.model_validate({"rolls": rolls, "per": "24h"}).max_rolls(pods) == maximum


@pytest.mark.parametrize("rolls", [-1, 10_001, "101%", "many", 1.5, True, None])
def test_other_budgets_are_refused(rolls):
    with pytest.raises(ValueError, match=r"must be a count|is not a percentage"):
        RollBudget.model_validate({"rolls": rolls, "per": "24h"})


BEGUN = at(-60).isoformat()
COUNTED = [
    pytest.param(None, {}, True, id="not announced yet"),
    pytest.param("Evicting", {"evicting": BEGUN}, True, id="in progress"),
    pytest.param("Succeeded", {}, True, id="succeeded"),
    pytest.param("Aborted", {"replacing": BEGUN}, False, id="aborted"),
    pytest.param("Failed", {"replacing": BEGUN}, False, id="rolled back while the pod was there"),
    pytest.param("Failed", {"verifying": BEGUN}, True, id="failed after the pod was gone"),
]


@pytest.mark.parametrize(("phase", "times", "counts"), COUNTED)
def test_a_roll_counts_unless_its_pod_was_never_gone(phase, times, counts):
    made = roll(phase, created=at(-60), times=times)
    assert used_times(context(made)) == ([at(-60)] if counts else [])


def test_a_restart_that_failed_and_rolls_of_other_policies():
    assert used_times(context(roll("Failed", restartedAt=BEGUN))) == [NOW]
    assert used_times(context(roll("Succeeded", spec={"policy": "other"}))) == []


limits = st.builds(BudgetLimit, st.integers(1, 4), st.sampled_from([timedelta(hours=h) for h in (1, 5, 24)]))
hours = st.lists(st.integers(-30, 60), max_size=12)


def is_allowed(limit: BudgetLimit, starts) -> bool:
    """Check a budget by its definition: in no sliding period are there more starts than it allows."""
    return all(sum(1 for s in starts if end - limit.per < s <= end) <= limit.max_rolls for end in starts)


@given(limit=limits, hours=hours, wish=st.integers(0, 60))
def test_the_latest_and_the_earliest_time_are_the_nearest_ones_that_the_budget_allows(limit, hours, wish):
    starts: list = []
    for each in sorted(at(h * HOUR) for h in hours):
        if is_allowed(limit, [*starts, each]):
            starts.append(each)
    timeline = BudgetTimeline([limit], starts, NOW)
    allowed = [h for h in range(-60, 200) if is_allowed(limit, [*starts, at(h * HOUR)])]
    assert timeline.earliest(at(wish * HOUR)) == at(min(h for h in allowed if h >= wish) * HOUR)
    earlier = [h for h in allowed if 0 <= h <= wish]
    latest = timeline.latest(at(wish * HOUR))
    assert latest == at(max(earlier) * HOUR) if earlier else latest < NOW


def test_a_budget_of_zero_never_allows_a_roll():
    timeline = BudgetTimeline([BudgetLimit(0, DAY)], [], NOW)
    assert (timeline.latest(at(5)), timeline.earliest(at(5))) == (at(5), FOREVER)


def four_a_day(rolls: int = 4) -> dict:
    return {"roll": {"cooldown": "10m", "budgets": [{"rolls": rolls, "per": "24h"}]}}


def latest_hours(found) -> dict[str, float]:
    return {c.pod.key.name: round((c.latest_start - NOW).total_seconds() / HOUR, 1) for c in found}


def test_pods_that_come_due_together_start_days_apart_if_the_budget_requires_it():
    family = [leak(name, 60 * HOUR) for name in "abcde"]
    found = latest_hours(schedule_candidates(family, context(measured(300), policy=four_a_day(2))))
    gap = 0.1 / 4 * 61
    expected = {"e": 60, "d": 60 - gap, "c": 36, "b": 36 - gap, "a": 12}
    assert found == pytest.approx(expected, abs=0.1)


def test_pods_of_several_workloads_share_the_budget():
    owners = [ObjectRef("apps/v1", "ReplicaSet", f"rs-{i}", f"rs-{i}") for i in range(3)]
    pods = [
        candidate(pod=pod(o.name, controller=o), verdict=leak_verdict(30 * HOUR + LEAD_S, lead_s=LEAD_S, due=False))
        for o in owners
    ]
    found = schedule_candidates(pods, context(measured(300), policy=four_a_day(1)))
    assert latest_hours(found) == {"rs-2": 30, "rs-1": 6, "rs-0": -18}
    (first,) = [c for c in found if c.due]
    assert first.advanced_because.endswith(": 2 more of the policy's pods must be rolled within its budgets")


def test_rolls_that_were_made_count():
    """Two of four are used for eight more hours: of three pods with a deadline in six hours, one can't wait for it."""
    used = [roll("Succeeded", created=at(-16 * HOUR)) for _ in range(2)]
    family = [leak(name, 6 * HOUR) for name in "abc"]
    found = schedule_candidates(family, context(*used, measured(300), policy=four_a_day(4)))
    assert [c.pod.key.name for c in found if c.due] == ["a"]


def test_only_a_confirmed_leak_is_brought_forward_for_the_budget():
    odd = candidate(pod=pod("odd"), verdict=leak_verdict(HOUR / 2, lead_s=HOUR, due=False))
    family = [leak(name, 10 * HOUR) for name in "abc"]
    found = schedule_candidates([odd, *family], context(measured(300), policy=four_a_day(1)))
    (seen,) = [c for c in found if c.pod.key.name == "odd"]
    assert (seen.due, seen.latest_start) == (False, None)


def test_a_pod_that_is_being_rolled_and_peers_that_a_restart_replaces_need_no_other_roll():
    family = [candidate(pod=pod(name)) for name in "abc"]
    rolling = roll("Replacing", spec={"podUID": "uid-b"})
    assert {key.name for key in budget_users(family, context(rolling))} == {"a", "c"}
    restart = {"roll": {"strategy": "Restart"}}
    assert {key.name for key in budget_users(family, context(policy=restart))} == {"a"}
    recreate = [candidate(pod=pod(n), workload=workload(has_recreate_strategy=True)) for n in "abc"]
    assert {key.name for key in budget_users(recreate, context())} == {"a"}


@pytest.mark.parametrize("per", ["0s", "59s"])
def test_a_period_that_limits_nothing_is_refused(per):
    with pytest.raises(ValueError, match=r"must be at least 1m, and is .*: a shorter one limits nothing"):
        RollBudget.model_validate({"rolls": 1, "per": per})
