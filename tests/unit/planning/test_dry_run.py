"""Mode DryRun in a plan: records of dry runs, and pods that a dry run has rolled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.dry_run import DryRun
from memroll.api.policy import Mode
from memroll.planning.dry_run import as_dry_run, dry_run_records, dry_run_times
from memroll.planning.gate_result import Gate
from memroll.planning.plan import make_plan
from tests.builders import WORKLOAD_REF, at, candidate, container, context, leak_verdict, pod, policy

BUDGET = {"mode": "DryRun", "roll": {"budgets": [{"rolls": 1, "per": "1h"}]}}
OLD = DryRun.model_validate(
    {"pod": "a", "podUID": "uid-a", "container": "app", "workload": WORKLOAD_REF, "time": "2026-03-01T11:00:00Z"}
)
NEW = OLD.model_copy(update={"time": at(-60)})


def with_dry_runs(*entries: DryRun, mode: str = "DryRun"):
    made = policy(mode=mode)
    return made.model_copy(update={"status": made.status.model_copy(update={"dry_runs": entries})})


def test_a_dry_run_counts_like_a_roll_that_has_succeeded_at_once():
    (record,) = dry_run_records(with_dry_runs(NEW))
    assert (record.spec.policy, record.pod_uid, record.created_at, record.active) == ("leaky", "uid-a", at(-60), False)
    assert (record.has_used_budget, record.status.times.finished, str(record.status.workload)) == (
        True,
        at(-60),
        "Deployment/leaky",
    )


@pytest.mark.parametrize("mode", [m for m in Mode if m is not Mode.DRY_RUN])
def test_it_counts_in_no_other_mode(mode):
    found = with_dry_runs(NEW, mode=mode)
    assert (dry_run_records(found), dry_run_times(found)) == ((), {})


@pytest.mark.parametrize("entries", [(OLD, NEW), (NEW, OLD)])
def test_of_two_dry_runs_of_a_pod_the_newer_one_counts(entries):
    assert dry_run_times(with_dry_runs(*entries)) == {"uid-a": at(-60)}


def test_the_rolls_of_a_plan_become_dry_runs_that_are_blocked():
    plan = as_dry_run(make_plan([candidate(pod=pod("a"))], context(policy={"mode": "DryRun"})))
    assert (plan.rolls, [c.pod.key.name for c in plan.dry_runs]) == ((), ["a"])
    assert plan.blocked_by("uid-a").gate is Gate.DRY_RUN


@pytest.mark.parametrize(
    ("started_s", "gate"),
    [
        pytest.param(-180, Gate.DRY_RUN, id="the container that it was about"),
        pytest.param(-60, Gate.DRY_RUN, id="one that started at the same time"),
        pytest.param(-59, None, id="one that started later"),
    ],
)
def test_a_pod_is_blocked_while_its_container_runs(started_s, gate):
    found = candidate(pod=pod("a", containers=(container(started_at=at(started_s)),)))
    plan = make_plan([found], context(policy={"mode": "DryRun"}, dry_runs={"uid-a": at(-60)}))
    assert [b.gate for b in plan.blocked] == ([gate] if gate else [])


def test_a_container_that_is_not_running_keeps_its_pod_blocked():
    found = candidate(pod=pod("a", containers=(replace(container(), started_at=None),)))
    plan = make_plan([found], context(policy={"mode": "DryRun"}, dry_runs={"uid-a": at(-60)}))
    assert plan.blocked_by("uid-a").gate is Gate.DRY_RUN


def test_a_pod_that_a_dry_run_has_rolled_takes_no_time_of_its_peers():
    rolled = candidate(pod=pod("a"), verdict=leak_verdict(41_000, due=False))
    peer = candidate(pod=pod("b"), verdict=leak_verdict(40_000, due=False))
    facts = context(policy=BUDGET, dry_runs={"uid-a": at(-60)})
    alone, together = (make_plan(pods, facts).blocked_by("uid-b").candidate for pods in ([peer], [rolled, peer]))
    assert together.latest_start == alone.latest_start
    without = make_plan([rolled, peer], context(policy=BUDGET)).blocked_by("uid-b").candidate
    assert without.latest_start != alone.latest_start, "a pod that waits does take it"
