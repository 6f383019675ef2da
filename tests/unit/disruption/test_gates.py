from __future__ import annotations

from datetime import timedelta

import pytest

from memroll.disruption.gates import GATES, first_hold
from memroll.disruption.plan import make_plan
from memroll.disruption.strategy import Permits
from memroll.disruption.target import ObjectRef
from tests.builders import at, breach, candidate, context, ended, pod, roll, workload

BARE = pod(controller=None)
JOB = workload(top=ObjectRef("batch/v1", "Job", "once", "job-1"), hash_label="")
ACTIVE = roll(
    "Replacing", spec={"podUID": "another"}, workload={"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
)

HOLDS = [
    pytest.param({}, {"policy": {"suspend": True}}, "suspended", "the policy is suspended", id="a suspended policy"),
    pytest.param(
        {}, {"policy": {"mode": "Observe"}}, "observing", "the policy observes only (mode: Observe)", id="an observer"
    ),
    pytest.param(
        {"target": pod(deleting=True)}, {}, "leaving", "the pod is already being deleted", id="a pod that is leaving"
    ),
    pytest.param(
        {"target": pod(annotations={"memroll.dev/roll": "x"})},
        {},
        "released",
        "a roll of this pod is under way",
        id="a pod that is released already",
    ),
    pytest.param(
        {"breach": breach(400, due=False)},
        {},
        "not_due",
        "not due: 7m to the limit, rolled within 30s of it",
        id="a leak whose limit is far",
    ),
    pytest.param(
        {"breach": breach(None, lead_s=None, due=False)},
        {},
        "not_due",
        "not due: without a memory limit there is no deadline",
        id="a leak without a limit",
    ),
    pytest.param(
        {"target": pod(ready=False)},
        {},
        "not_ready",
        "the pod is not Ready: replacing it might hide another trouble",
        id="a pod that is not Ready",
    ),
    pytest.param(
        {"target": pod(annotations={"memroll.dev/protect": "true"})},
        {},
        "protected",
        "the pod is protected (memroll.dev/protect: 'true')",
        id="a protected pod",
    ),
    pytest.param(
        {"target": pod(annotations={"memroll.dev/protect": ""})},
        {},
        "protected",
        "the pod is protected (memroll.dev/protect: '')",
        id="protection that can't be read protects",
    ),
    pytest.param(
        {"target": pod(annotations={"memroll.dev/protect": "2026-03-01T13:00:00Z"})},
        {},
        "protected",
        "the pod is protected until 2026-03-01T13:00:00Z",
        id="protection that still lasts",
    ),
    pytest.param(
        {},
        {"namespace_annotations": {"memroll.dev/protect": "true"}},
        "protected",
        "the namespace is protected (memroll.dev/protect: 'true')",
        id="a protected namespace",
    ),
    pytest.param(
        {"target": pod(annotations={"karpenter.sh/do-not-disrupt": "true"})},
        {},
        "protected",
        "the pod is marked karpenter.sh/do-not-disrupt: true",
        id="another autoscaler's mark",
    ),
    pytest.param(
        {"target": BARE, "workload": None},
        {},
        "refused",
        "a pod without a controller would not come back: run it by a Deployment or StatefulSet",
        id="a bare pod",
    ),
    pytest.param(
        {"workload": JOB},
        {},
        "refused",
        "pods of a Job are not rolled: one that ends early would lose its work",
        id="a Job's pod",
    ),
    pytest.param(
        {"target": pod(mirror=True)},
        {},
        "refused",
        "a static pod is owned by its node's kubelet: the API server can't evict it",
        id="a static pod",
    ),
    pytest.param(
        {},
        {"permits": Permits(acting=False)},
        "refused",
        "memroll was installed without the right to act on pods",
        id="an installation that may only watch",
    ),
    pytest.param(
        {},
        {"permits": Permits(surge=False), "policy": {"roll": {"strategy": "Surge"}}},
        "refused",
        "the policy asks for Surge, but memroll was installed without the right to surge",
        id="a surge without the right to it",
    ),
    pytest.param(
        {"workload": workload(mid_rollout="1 of 3 pods are updated")},
        {},
        "mid_rollout",
        "1 of 3 pods are updated",
        id="a workload in a rollout",
    ),
]


@pytest.mark.parametrize(("parts", "around", "gate", "words"), HOLDS)
def test_a_gate_holds(parts, around, gate, words):
    assert first_hold(candidate(**parts), context(**around)) == (gate, words)


def test_nothing_holds_a_due_pod_of_an_idle_workload():
    assert first_hold(candidate(), context()) is None


def test_protection_that_has_ended_does_not_hold():
    marked = pod(annotations={"memroll.dev/protect": "2026-03-01T11:59:59Z"})
    assert first_hold(candidate(target=marked), context()) is None
    assert first_hold(candidate(target=pod(annotations={"memroll.dev/protect": "false"})), context()) is None


def test_an_active_roll_of_the_same_pod_holds():
    assert first_hold(candidate(), context(roll("Evicting"))) == ("rolling", "PodRoll leaky-abc-1 is under way")


def test_one_roll_of_a_workload_at_a_time():
    assert first_hold(candidate(), context(ACTIVE)) == (
        "concurrency",
        "1 of at most 1 concurrent rolls of Deployment/leaky are under way",
    )
    four = candidate(workload=workload(desired=4))
    assert first_hold(four, context(ACTIVE, policy={"roll": {"maxConcurrent": "50%", "cooldown": "0s"}})) is None


def test_another_workload_s_rolls_do_not_count():
    other = candidate(workload=workload(top=ObjectRef("apps/v1", "Deployment", "other", "d-2")))
    assert first_hold(other, context(ACTIVE)) is None


@pytest.mark.parametrize(("ago_s", "held"), [(599, True), (600, False)])
def test_a_cooldown_after_each_roll(ago_s, held):
    hold = first_hold(candidate(), context(ended("Succeeded", -ago_s)))
    assert (hold == ("cooldown", "cooling down until 2026-03-01T12:00:01Z")) is held


def test_failures_in_a_row_double_the_pause():
    spec = {"policy": {"roll": {"cooldown": "0s"}}}
    once, twice = (ended("Failed", -40),), (ended("Failed", -40), ended("Failed", -50))
    assert first_hold(candidate(), context(*once, **spec)) is None
    assert first_hold(candidate(), context(*twice, **spec)) == (
        "backing_off",
        "2 failed rolls in a row: tried again at 2026-03-01T12:00:20Z",
    )
    assert first_hold(candidate(), context(*twice, ended("Succeeded", -1), **spec)) is None


def test_the_most_restrictive_budget_wins():
    budgets = [{"rolls": 9, "per": "24h"}, {"rolls": 1, "per": "1h"}]
    spec = {"policy": {"roll": {"cooldown": "0s", "budgets": budgets}}}
    words = "the budget of 1 rolls per 1h is spent"
    assert first_hold(candidate(), context(ended("Succeeded", -1800), **spec)) == ("budget", words)
    assert first_hold(candidate(), context(ended("Succeeded", -3700), **spec)) is None
    assert first_hold(candidate(), context(ended("Aborted", -1800), **spec)) is None


def test_a_budget_of_none_allows_none():
    spec = {"policy": {"roll": {"budgets": [{"rolls": 0, "per": "1h"}]}}}
    assert first_hold(candidate(), context(**spec)) == ("budget", "the budget of 0 rolls per 1h is spent")


def test_the_pod_nearest_its_limit_goes_first_and_counts_for_the_next():
    near = candidate(target=pod("near"), breach=breach(5))
    far = candidate(target=pod("far"), breach=breach(25))
    plan = make_plan([far, near], context())
    assert [c.target.key.name for c in plan.rolls] == ["near"]
    assert [(h.candidate.target.key.name, h.gate) for h in plan.holds] == [("far", "concurrency")]
    assert plan.held_by("uid-far") == "1 of at most 1 concurrent rolls of Deployment/leaky are under way"
    assert plan.held_by("uid-near") == ""


def test_no_plan_ever_exceeds_concurrency_or_budget():
    many = [candidate(target=pod(f"p{i}"), workload=workload(desired=50)) for i in range(50)]
    spec = {"roll": {"maxConcurrent": "10%", "budgets": [{"rolls": 3, "per": "1h"}]}}
    assert len(make_plan(many, context(policy=spec)).rolls) == 3


def test_each_gate_has_a_test_here():
    shown = {param.values[2] for param in HOLDS} | {"rolling", "concurrency", "cooldown", "backing_off", "budget"}
    assert shown == {gate.__name__ for gate in GATES}


def test_a_back_off_ends_somewhere():
    failures = [ended("Failed", -i * 10) for i in range(60)]
    hold = first_hold(candidate(), context(*failures, policy={"roll": {"cooldown": "0s"}}))
    assert hold is not None
    latest = at(0) + timedelta(hours=6)
    assert hold[1].endswith(latest.strftime("%Y-%m-%dT%H:%M:%SZ"))
