"""Pods that are held while they are not Ready or in a rollout, and the policy's choice near their limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.api.roll_spec import HoldOrEvict, Strategy
from memroll.model.permissions import Permissions
from memroll.model.pod_revisions import PodRevisions
from memroll.model.roll_duration import RollDurations
from memroll.planning.gate_result import MAX_GATE_MESSAGE_CHARS, Gate
from memroll.planning.holds import last_chance_s
from memroll.planning.plan import Plan, make_plan
from memroll.planning.pod_roll_manifest import pod_roll_manifest
from tests.builders import above_threshold_verdict, candidate, context, leak_verdict, pod, policy, workload

if TYPE_CHECKING:
    from memroll.model.pods import Workload

ROLLOUT = "Deployment/leaky is at revision 4, the pod at 3"
RECREATE = "Deployment/leaky has strategy Recreate"
NO_REPLICAS = "ReplicaSet/leaky-5d has 0 replicas and would not create the pod again"
EVICT = {"interval": "60s", "roll": {"duringRollout": "Evict", "whenNotReady": "Evict"}}
HOLD: dict[str, Any] = {"interval": "60s", "roll": {}}
UPDATING = workload(rollout_in_progress=ROLLOUT)
ON_DELETE = workload(pod_revisions=PodRevisions("controller-revision-hash", "db-2", "db updates deleted pods only"))


def plan(left_s: float, spec: Any, found: Workload | None = None, *, ready: bool = True, **around: Any) -> Plan:
    """Plan for one pod with an interval of 60 s and a roll of 15 s: its limit is near at 120 s."""
    made = candidate(
        verdict=leak_verdict(left_s, lead_s=3600), workload=found or workload(),
        pod=pod(ready=ready, labels={"pod-template-hash": "5d", "controller-revision-hash": "db-1"}),
    )  # fmt: skip
    return make_plan([made], context(policy=spec, **around))


def blocked(made: Plan) -> tuple[str, str, bool]:
    (found,) = made.blocked
    return found.gate, found.message, bool(made.held)


@pytest.mark.parametrize(
    ("interval", "duration_s", "expected_s"),
    [
        pytest.param("60s", 15.0, 120, id="two intervals"),
        pytest.param("60s", 900.0, 960, id="an interval and a long roll"),
        pytest.param("5s", 15.0, 20, id="a short interval"),
    ],
)
def test_one_more_reconcile_and_a_roll_fit_before_the_limit(interval: str, duration_s: float, expected_s: int) -> None:
    spec = policy(interval=interval).spec
    durations = RollDurations({}, duration_s, spec.roll.drain)
    assert last_chance_s(candidate(), context(spec=spec, roll_durations=durations)) == expected_s


@pytest.mark.parametrize("left_s", range(0, 1200, 7))
def test_a_held_pod_is_evicted_by_a_reconcile_before_its_limit(left_s: int) -> None:
    """Reconciles are a minute apart: the last one that finds the pod alive must have it evicted, or an earlier one."""
    remaining = range(left_s, 0, -60)
    assert not remaining or any(plan(float(s), EVICT, UPDATING).rolls for s in remaining)
    assert left_s <= 120 or not plan(float(left_s), EVICT, UPDATING).rolls, "not earlier than necessary"


@pytest.mark.parametrize(
    ("left_s", "spec", "found", "ready", "expected"),
    [
        pytest.param(600, HOLD, UPDATING, True, ("RolloutInProgress", ROLLOUT, False), id="a rollout, with time left"),
        pytest.param(
            120, HOLD, UPDATING, True,
            (
                "RolloutInProgress",
                f"{ROLLOUT}; its limit is near: set roll.duringRollout: Evict to evict it before", True,
            ),
            id="a rollout, near the limit",
        ),
        pytest.param(
            600, EVICT, UPDATING, True,
            (
                "RolloutInProgress",
                f"{ROLLOUT}; evicted when 2m to the limit are left (roll.duringRollout: Evict)", False,
            ),
            id="a rollout, to be evicted later",
        ),
        pytest.param(
            600, HOLD, None, False,
            ("PodNotReady", "the pod is not Ready: replacing it might hide another problem", False),
            id="not Ready, with time left",
        ),
        pytest.param(
            120, HOLD, None, False,
            (
                "PodNotReady",
                "the pod is not Ready; its limit is near: set roll.whenNotReady: Evict to evict it before", True,
            ),
            id="not Ready, near the limit",
        ),
        pytest.param(
            120, {"interval": "60s", "roll": {"whenNotReady": "Evict"}}, UPDATING, False,
            (
                "RolloutInProgress",
                f"{ROLLOUT}; its limit is near: set roll.duringRollout: Evict to evict it before", True,
            ),
            id="not Ready, and in a rollout in which pods are held",
        ),
        pytest.param(
            120, EVICT, workload(rollout_in_progress=ROLLOUT, has_recreate_strategy=True), True,
            (
                "RolloutInProgress",
                f"{ROLLOUT}; its limit is near, but it is not evicted: {RECREATE}", True,
            ),
            id="a strategy that allows no eviction",
        ),
        pytest.param(
            120, EVICT, workload(has_recreate_strategy=True), False,
            (
                "PodNotReady",
                f"the pod is not Ready; its limit is near, but it is not evicted: {RECREATE}", True,
            ),
            id="not Ready, and a strategy that allows no eviction",
        ),
        pytest.param(
            120, EVICT, workload(rollout_in_progress=ROLLOUT, controller_replicas=0), True,
            (
                "RolloutInProgress",
                f"{ROLLOUT}; its limit is near, but it is not evicted: {NO_REPLICAS}", True,
            ),
            id="a ReplicaSet that would not create the pod again",
        ),
        pytest.param(
            120, EVICT, workload(rollout_in_progress=ROLLOUT, is_supported=False), True,
            (
                "RolloutInProgress",
                f"{ROLLOUT}; its limit is near, but it is not evicted: its rollouts can't be read", True,
            ),
            id="a workload whose rollouts can't be read",
        ),
    ],
)  # fmt: skip
def test_a_held_pod(left_s: float, spec: Any, found: Workload | None, ready: bool, expected: Any) -> None:  # noqa: FBT001 - a row of the table
    assert blocked(plan(left_s, spec, found, ready=ready)) == expected


def test_an_eviction_near_the_limit_has_its_reason_in_the_record() -> None:
    (made,) = plan(120, EVICT, UPDATING).rolls
    spec = pod_roll_manifest(policy(**EVICT), "leaky-abc-1", made)["spec"]
    assert (spec["strategy"], spec["duringRollout"]) == ("Evict", "Evict")
    assert spec["reason"].endswith(f"; evicted before its limit although {ROLLOUT} (roll.duringRollout: Evict)")


def test_a_pod_that_is_not_ready_is_evicted_but_not_in_a_rollout_that_begins_later() -> None:
    only_unready = {"interval": "60s", "roll": {"whenNotReady": "Evict", "strategy": "Surge"}}
    (made,) = plan(120, only_unready, ready=False).rolls
    spec = pod_roll_manifest(policy(**only_unready), "leaky-abc-1", made)["spec"]
    assert (spec["strategy"], spec["duringRollout"]) == ("Evict", "Hold")
    assert spec["reason"].endswith("although the pod is not Ready (roll.whenNotReady: Evict)")


def test_a_pod_that_is_not_ready_in_a_rollout_has_both_reasons() -> None:
    (made,) = plan(120, EVICT, UPDATING, ready=False).rolls
    assert made.evicted_because == (
        f"evicted before its limit although the pod is not Ready (roll.whenNotReady: Evict) and {ROLLOUT} "
        "(roll.duringRollout: Evict)"
    )


def test_an_older_pod_under_on_delete_is_evicted_only_by_choice() -> None:
    gate, message, _ = blocked(plan(120, HOLD, ON_DELETE))
    assert (gate, "set roll.duringRollout: Evict" in message) == (Gate.ROLLOUT_IN_PROGRESS, True)
    (made,) = plan(120, EVICT, ON_DELETE).rolls
    assert "evicting it would change that to db-2 (roll.duringRollout: Evict)" in made.evicted_because


def test_a_pod_above_the_usage_threshold_has_no_predicted_time_and_is_evicted_at_once() -> None:
    above = candidate(verdict=above_threshold_verdict(), workload=UPDATING)
    assert make_plan([above], context(policy=HOLD)).held
    assert make_plan([above], context(policy=EVICT)).rolls


def test_a_planned_roll_has_the_known_start_of_its_pods() -> None:
    spec = policy(**HOLD).spec
    durations = RollDurations.measure("leaky", spec.roll.drain, (), (pod("leaky-a"), pod("leaky-b")))
    (made,) = plan(120, HOLD, roll_durations=durations).rolls
    assert made.known_start_s == 5.0


def test_other_rolls_keep_the_strategy_of_the_policy() -> None:
    (made,) = plan(120, EVICT).rolls
    spec = pod_roll_manifest(policy(**EVICT), "leaky-abc-1", made)["spec"]
    assert (spec["strategy"], spec["duringRollout"], made.evicted_because) == (Strategy.AUTO, HoldOrEvict.HOLD, "")


def test_an_eviction_near_the_limit_needs_the_permission_to_act() -> None:
    gate, message, held = blocked(plan(120, EVICT, UPDATING, permissions=Permissions(acting=False)))
    assert (gate, message, held) == (
        Gate.UNSUPPORTED, "memroll was installed without the right to act on pods", False,
    )  # fmt: skip


def test_the_remedy_fits_into_the_message_of_a_gate() -> None:
    _, message, _ = blocked(plan(120, HOLD, workload(rollout_in_progress="x" * 300)))
    assert len(message) <= MAX_GATE_MESSAGE_CHARS
    assert message.endswith("set roll.duringRollout: Evict to evict it before")


def test_a_policy_that_only_observes_holds_no_pod() -> None:
    assert not plan(120, HOLD | {"mode": "Observe"}, UPDATING).held
