from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from memroll.model.permissions import Permits
from memroll.model.pods import ObjectRef
from memroll.planning import gates
from memroll.planning.answer import Answer
from memroll.planning.gate_result import in_words
from memroll.planning.gates import GATES, explain, first_hold
from memroll.planning.plan import make_plan
from memroll.planning.rate_limit import Tally
from tests.builders import at, breach, candidate, context, ended, pod, roll, workload

if TYPE_CHECKING:
    from memroll.planning.candidate import Candidate, Context

BARE = pod(controller=None)
JOB = workload(top=ObjectRef("batch/v1", "Job", "once", "job-1"), hash_label="")
ACTIVE = roll(
    "Replacing", spec={"podUID": "another"}, workload={"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
)
NIGHTS = {"allow": [{"start": "01:00", "end": "05:00"}]}

HOLDS = [
    pytest.param({}, {"policy": {"suspend": True}}, "suspended", "the policy is suspended", id="a suspended policy"),
    pytest.param(
        {}, {"policy": {"mode": "Observe"}}, "observing", "the policy observes only (mode: Observe)", id="an observer"
    ),
    pytest.param(
        {},
        {"leads": False},
        "not_leading",
        "this process does not hold the Lease: another one acts",
        id="a process that does not lead",
    ),
    pytest.param(
        {"target": pod(deleting=True)}, {}, "leaving", "the pod is already being deleted", id="a pod that is leaving"
    ),
    pytest.param(
        {"target": pod(annotations={"memroll.dev/roll": "x"}, labels={"pod-template-hash": "memroll-released"})},
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
    pytest.param(
        {},
        {"policy": {"roll": {"windows": NIGHTS}}},
        "outside_windows",
        "outside of the windows: the next one opens at 2026-03-02T01:00:00Z",
        id="a time outside of the windows",
    ),
    pytest.param(
        {},
        {"policy": {"roll": {"windows": NIGHTS | {"actEarly": False}}}},
        "outside_windows",
        "outside of the windows: the next one opens at 2026-03-02T01:00:00Z, after its limit, and actEarly is false",
        id="the same, when that is too late",
    ),
    pytest.param(
        {},
        {"policy": {"roll": {"windows": {"deny": [{}]}}}},
        "outside_windows",
        "the windows never open",
        id="windows that never open",
    ),
    pytest.param(
        {},
        {"tally": Tally((at(-1800),) * 30, ())},
        "runaway_guard",
        "the runaway guard stops all rolls until 2026-03-01T12:30:00Z: 30 within an hour, at most 30",
        id="an operator that has run away",
    ),
    pytest.param(
        {},
        {"tally": Tally((at(-60),) * 3, (at(-60),) * 3), "watched_pods": 5},
        "runaway_guard",
        "the runaway guard stops the rolls of this namespace until 2026-03-01T12:59:00Z:"
        " 3 within an hour, at most 3 with 5 watched pods",
        id="a namespace that has had too much",
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
    words = "the budget of 1 rolls per 1h is spent until 2026-03-01T12:29:50Z"
    assert first_hold(candidate(), context(ended("Succeeded", -1800), **spec)) == ("budget", words)
    assert first_hold(candidate(), context(ended("Succeeded", -3700), **spec)) is None
    assert first_hold(candidate(), context(ended("Aborted", -1800), **spec)) is None


def test_of_several_spent_budgets_the_one_that_frees_last_is_named():
    budgets = [{"rolls": 1, "per": "1h"}, {"rolls": 2, "per": "24h"}]
    rolls = (ended("Succeeded", -600), ended("Failed", -7200))
    hold = first_hold(candidate(), context(*rolls, policy={"roll": {"cooldown": "0s", "budgets": budgets}}))
    assert hold == ("budget", "the budget of 2 rolls per 24h is spent until 2026-03-02T09:59:50Z")


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


COUNTED = {"rolling", "concurrency", "cooldown", "backing_off", "budget", "fleet", "on_hold"}


def test_each_gate_has_a_test_here():
    assert {param.values[2] for param in HOLDS} | COUNTED == {gate.__name__ for gate in GATES}


def test_all_gates_explain_themselves_with_value_and_threshold():
    spec = {"roll": {"windows": NIGHTS, "budgets": [{"rolls": 2, "per": "24h"}]}, "suspend": True}
    found = explain(candidate(), context(ended("Failed", -300), policy=spec, tally=Tally((), ())))
    assert [f.gate for f in found] == [gate.__name__ for gate in GATES]
    assert all(f.value and f.threshold for f in found)
    by_gate = {f.gate: f for f in found}
    assert [f.gate for f in found if f.holds] == ["suspended", "cooldown", "backing_off", "outside_windows"]
    assert (by_gate["not_due"].value, by_gate["not_due"].threshold) == ("20s to the limit", "within 30s of it")
    assert (by_gate["concurrency"].value, by_gate["concurrency"].threshold) == ("0 under way", "under 1")
    assert (by_gate["cooldown"].value, by_gate["cooldown"].threshold) == (
        "the last roll ended 5m ago",
        "10m ago or more",
    )
    assert (by_gate["budget"].value, by_gate["budget"].threshold) == ("1 rolls", "under 2 rolls per 24h")
    assert by_gate["outside_windows"].value == "closed until 2026-03-02T01:00:00Z"
    assert by_gate["runaway_guard"].threshold == "under 30 in an hour, under 3 of them in the namespace"
    assert by_gate["refused"].value == "Surge: the replacement can be Ready before the pod leaves"


def test_gates_after_the_first_that_holds_are_not_asked():
    asked = []

    def spy(*_: object) -> Answer:
        asked.append("spy")
        return Answer("", "", "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gates, "GATES", (gates.suspended, spy))
        assert first_hold(candidate(), context(policy={"suspend": True})) is not None
        assert asked == []
        assert first_hold(candidate(), context()) is None
        assert asked == ["spy"]


def test_a_gate_that_only_has_words_can_stand_among_the_others():
    def on_hold(_: object, context: Context) -> str | None:
        return "rolling it did not help" if context.leads else None

    gate = in_words(on_hold)
    assert gate.__name__ == "on_hold"
    assert gate(candidate(), context()).words == "rolling it did not help"
    assert gate(candidate(), context(leads=False)).words == ""


def fleet_of(replicas: int, breaching: int) -> list[Candidate]:
    """Build pods of one workload that leak and are due an hour from now."""
    return [
        candidate(
            target=pod(f"p{i}"), breach=breach(7200 + i, lead_s=3600, due=False), workload=workload(desired=replicas)
        )
        for i in range(breaching)
    ]


HURRIED = {"hurried": "before its deadline"}
HELPED = {"memory": {"effect": "Helped"}}
USELESS = {"memory": {"effect": "Ineffective"}}
WELL = {"replacement": {"name": "new", "uid": "uid-new"}}
FLEETS = [
    pytest.param(2, 2, (), {}, None, id="two pods are no fleet"),
    pytest.param(4, 2, (("Succeeded", -60, {}),), {}, None, id="half of the pods"),
    pytest.param(4, 3, (), {}, None, id="the first goes as the canary"),
    pytest.param(4, 3, (("Succeeded", -60, {}),), {}, "leaky-abc", id="one went, and nothing is known of it yet"),
    pytest.param(4, 3, (("Succeeded", -60, HELPED),), {}, None, id="it helped"),
    pytest.param(4, 3, (("Succeeded", -60, USELESS),), {}, "leaky-abc", id="it did not"),
    pytest.param(4, 3, (("Succeeded", -60, WELL),), {}, "leaky-abc", id="its replacement warms up"),
    pytest.param(4, 3, (("Succeeded", -60, WELL),), {"healthy": frozenset({"uid-new"})}, None, id="it is well"),
    pytest.param(
        4,
        3,
        (("Evicting", -60, WELL),),
        {"healthy": frozenset({"uid-new"})},
        "leaky-abc",
        id="it is, but the roll has not ended",
    ),
    pytest.param(4, 3, (("Failed", -60, {}),), {}, None, id="the canary's roll failed: another one"),
    pytest.param(4, 3, (("Succeeded", -30_000, {}),), {}, None, id="a roll from before it began"),
]


@pytest.mark.parametrize(("replicas", "breaching", "rolls", "around", "first"), FLEETS)
def test_when_most_of_a_workload_breach_at_once_one_goes_first(replicas, breaching, rolls, around, first):
    family = fleet_of(replicas, breaching)
    spec = {"roll": {"cooldown": "0s", "maxConcurrent": 9}}
    seen = context(
        *(ended(phase, at_s, **more) for phase, at_s, more in rolls), policy=spec, breaching=tuple(family), **around
    )
    hold = first_hold(replace(family[-1], **HURRIED), seen)
    words = f"{breaching} of {replicas} pods breach at once: waiting to see whether rolling {first} helps"
    assert hold == (None if first is None else ("fleet", words))
    own = replace(family[-1], breach=breach(20))
    assert first_hold(own, seen) is None, "its own deadline has come: it does not wait"
    pressed = replace(family[-1], **HURRIED, pressed=True)
    assert first_hold(pressed, seen) is None, "the deadline of one behind it has come"


def test_the_second_of_a_fleet_waits_for_the_first_within_one_pass():
    family = tuple(fleet_of(4, 4))
    seen = context(policy={"roll": {"maxConcurrent": 9}}, breaching=family, planned=family[:1])
    hold = first_hold(replace(family[1], **HURRIED), seen)
    assert hold == ("fleet", "4 of 4 pods breach at once: waiting to see whether rolling p0 helps")


def test_a_back_off_ends_somewhere():
    failures = [ended("Failed", -i * 10) for i in range(60)]
    hold = first_hold(candidate(), context(*failures, policy={"roll": {"cooldown": "0s"}}))
    assert hold is not None
    latest = at(0) + timedelta(hours=6)
    assert hold[1].endswith(latest.strftime("%Y-%m-%dT%H:%M:%SZ"))
