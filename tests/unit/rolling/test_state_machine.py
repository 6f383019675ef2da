"""The state machine, step by step and then as a whole against a simulated ReplicaSet that can fail anywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.pod_roll import Phase, PodRoll
from memroll.model.permissions import Permits
from memroll.model.pods import RELEASED_HASH
from memroll.rolling.observation import Act, Observed, is_released
from tests.builders import NOW, at, onward, pod, roll_json, workload

NEWCOMER = pod("leaky-new", created_at=at(2), ready=True)
RELEASED = pod(
    labels={"app": "leaky", "pod-template-hash": RELEASED_HASH},
    annotations={"memroll.dev/roll": "leaky-abc-1", "memroll.dev/released-from": "5d"},
    controller=None,
)


def fresh(**spec) -> PodRoll:
    return PodRoll.read(roll_json(spec=spec))


def carried(roll: PodRoll, *seen: Observed, seconds: float = 0) -> PodRoll:
    for look in seen:
        roll = roll.model_copy(update={"status": onward(roll, look, at(seconds)).status})
    return roll


BEFORE = Observed(pod(), workload())
SURGING = Observed(RELEASED, workload())
REPLACED = Observed(RELEASED, workload(), (NEWCOMER,))
GONE = Observed(None, workload(), (NEWCOMER,))


def test_a_surge_releases_waits_evicts_and_succeeds():
    announced = onward(fresh(), BEFORE, NOW)
    assert (announced.status.phase, announced.status.strategy, announced.acts) == ("Announced", "Surge", ())
    assert announced.status.ready_before == 1
    roll = carried(fresh(), BEFORE)
    released = onward(roll, BEFORE, NOW)
    assert (released.status.phase, released.acts) == (Phase.REPLACING, (Act.RELEASE,))
    assert released.status.release is not None
    assert released.status.release.template_hash == "5d"
    roll = carried(fresh(), BEFORE, BEFORE)
    waiting = onward(roll, SURGING, at(1))
    assert (waiting.status.message, waiting.acts) == ("waiting: no replacement exists yet", ())
    evicting = onward(roll, REPLACED, at(5))
    assert (evicting.status.phase, evicting.acts) == (Phase.EVICTING, (Act.OWN, Act.EVICT))
    roll = carried(fresh(), BEFORE, BEFORE, REPLACED, GONE, GONE)
    assert (roll.status.phase, roll.status.message) == (Phase.SUCCEEDED, "replaced by leaky-new")


def test_an_eviction_needs_no_release():
    roll = carried(fresh(strategy="Evict"), BEFORE)
    step = onward(roll, BEFORE, NOW)
    assert (step.status.phase, step.acts) == (Phase.EVICTING, (Act.EVICT,))
    roll = carried(roll, BEFORE)
    assert carried(roll, Observed(None, workload())).status.phase is Phase.VERIFYING
    half = carried(roll, Observed(None, workload()), Observed(None, workload()))
    assert half.status.message == "the old pod is gone, but no replacement exists yet"
    assert carried(half, GONE).status.phase is Phase.SUCCEEDED


def test_a_workload_that_can_t_surge_is_evicted_and_says_why():
    pinned = Observed(pod(pinned_by="host port 80"), workload())
    status = carried(fresh(), pinned).status
    assert (status.strategy, status.strategy_reason) == (
        "Evict",
        "a second copy can't run beside the pod: host port 80",
    )


def test_without_the_right_to_surge_a_pod_is_evicted():
    status = carried(fresh(), Observed(pod(), workload(), permits=Permits(surge=False))).status
    assert (status.strategy, status.strategy_reason) == ("Evict", "memroll was installed without the right to surge")


BY_HASH = "Service chat selects the pod by its label pod-template-hash"
CHANGED = [
    pytest.param(Observed(pod(), workload(), hash_selected_by=BY_HASH), "Evict", BY_HASH, id="a Service appears"),
    pytest.param(Observed(pod(), workload(surge_refused="maxSurge 0")), "Evict", "maxSurge 0", id="maxSurge turns 0"),
    pytest.param(
        Observed(pod(), workload(recreates=True)), "Restart",
        "Deployment/leaky has strategy Recreate (two of its pods must never run at once)", id="Recreate is set",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("now_seen", "strategy", "reason"), CHANGED)
def test_what_forbids_a_surge_since_it_was_announced_is_heeded_before_the_release(now_seen, strategy, reason):
    roll = carried(fresh(), BEFORE)
    assert roll.status.strategy == "Surge"
    step = onward(roll, now_seen, NOW)
    assert (step.status.strategy, step.status.strategy_reason) == (strategy, reason)
    assert Act.RELEASE not in step.acts
    insisting = onward(carried(fresh(strategy="Surge"), BEFORE), now_seen, NOW)
    assert (insisting.status.phase, insisting.status.reason, insisting.acts) == (Phase.FAILED, "Refused", ())
    assert insisting.status.message == f"the policy asks for Surge, but {reason}"


@pytest.mark.parametrize(("now_seen", "strategy", "reason"), CHANGED)
def test_a_release_that_was_recorded_and_not_done_is_not_done_any_more(now_seen, strategy, reason):
    """The process died between the record and the act; the next one looks again."""
    roll = carried(fresh(), BEFORE, BEFORE)
    assert (roll.status.phase, roll.status.release is None) == (Phase.REPLACING, False)
    step = onward(roll, now_seen, at(5))
    assert (step.acts, step.status.reason, step.status.message) == ((), "WorkloadChanging", reason)
    ended = carried(roll, now_seen, now_seen)
    assert (ended.status.phase, ended.status.message) == (Phase.ABORTED, reason)


ENDS = [
    pytest.param(fresh(), [Observed(None, None)], Phase.ABORTED, "PodGone", id="the pod does not exist"),
    pytest.param(fresh(), [Observed(pod(controller=None), None)], Phase.FAILED, "Refused", id="a bare pod"),
    pytest.param(
        fresh(strategy="Surge"),
        [Observed(pod(pinned_by="host port 80"), workload())],
        Phase.FAILED,
        "Refused",
        id="a surge that can't be",
    ),
    pytest.param(fresh(veto=True), [BEFORE, BEFORE], Phase.ABORTED, "Vetoed", id="a veto before anything was touched"),
    pytest.param(
        fresh(),
        [BEFORE, Observed(pod(), workload(), (), "policy leaky is suspended")],
        Phase.ABORTED,
        "Withdrawn",
        id="a policy that was suspended meanwhile",
    ),
    pytest.param(
        fresh(),
        [BEFORE, Observed(pod(), workload(mid_rollout="updating"))],
        Phase.ABORTED,
        "WorkloadChanging",
        id="a rollout that began meanwhile",
    ),
    pytest.param(
        fresh(),
        [BEFORE, Observed(pod(deleting=True), workload())],
        Phase.ABORTED,
        "PodGone",
        id="a pod that is being deleted",
    ),
    pytest.param(
        fresh(), [BEFORE, Observed(pod(), None)], Phase.ABORTED, "WorkloadChanging", id="a workload that is gone"
    ),
]


@pytest.mark.parametrize(("roll", "looks", "phase", "reason"), ENDS)
def test_a_roll_ends_before_it_touches_anything(roll, looks, phase, reason):
    for look in looks:
        step = onward(roll, look, NOW)
        assert step.acts == ()
        roll = roll.model_copy(update={"status": step.status})
    assert (roll.status.phase, roll.status.reason) == (phase, reason)
    assert roll.status.times.finished == NOW


def test_a_replacement_that_never_becomes_ready_is_rolled_back():
    roll = carried(fresh(), BEFORE, BEFORE)
    pending = Observed(RELEASED, workload(), (replace(NEWCOMER, ready=False, phase="Pending"),))
    late = onward(roll, pending, at(601))
    assert late.acts == (Act.RESTORE,)
    assert late.status.phase is Phase.REPLACING
    assert late.status.message == ("replacement leaky-new is Pending and not Ready in time: putting the pod back")
    roll = roll.model_copy(update={"status": late.status})
    assert onward(roll, pending, at(602)).acts == (Act.RESTORE,), "still released: put back again"
    back = onward(roll, Observed(pod(), workload()), at(603))
    assert (back.status.phase, back.status.reason, back.acts) == (Phase.FAILED, "ReplacementNotReady", ())


def test_a_veto_in_mid_surge_puts_the_pod_back():
    roll = carried(fresh(), BEFORE, BEFORE)
    vetoed = roll.model_copy(update={"spec": roll.spec.model_copy(update={"veto": True})})
    step = onward(vetoed, REPLACED, at(5))
    assert step.acts == (Act.RESTORE,)
    vetoed = vetoed.model_copy(update={"status": step.status})
    assert onward(vetoed, BEFORE, at(6)).status.phase is Phase.ABORTED


def test_a_crash_before_the_release_repeats_the_release():
    roll = carried(fresh(), BEFORE, BEFORE)
    assert onward(roll, BEFORE, at(1)).acts == (Act.RELEASE,)


def test_a_replacement_that_fails_again_keeps_the_old_pod():
    roll = carried(fresh(), BEFORE, BEFORE, REPLACED)
    broken = Observed(RELEASED, workload(), (replace(NEWCOMER, ready=False),))
    step = onward(roll, broken, at(5))
    assert step.acts == ()
    assert "the old pod stays" in step.status.message
    assert onward(roll, broken, at(700)).acts == (Act.RESTORE,)


def test_an_eviction_that_is_blocked_for_too_long_keeps_the_pod():
    roll = carried(fresh(strategy="Evict"), BEFORE, BEFORE)
    step = onward(roll, BEFORE, at(601))
    assert (step.status.reason, step.acts) == ("EvictionBlocked", ())
    roll = roll.model_copy(update={"status": step.status})
    assert onward(roll, BEFORE, at(602)).status.phase is Phase.FAILED


def test_a_workload_scaled_down_meanwhile_needs_no_replacement():
    three = workload(desired=3, replicas=3)
    others = (pod("b"), pod("c"))
    roll = carried(fresh(), Observed(pod(), three, others), Observed(pod(), three, others))
    assert roll.status.ready_before == 3
    assert onward(roll, Observed(RELEASED, three, others), at(3)).acts == ()
    two = workload(desired=2, replicas=2)
    assert onward(roll, Observed(RELEASED, two, others), at(3)).acts == (Act.OWN, Act.EVICT)


def test_a_pod_of_a_workload_that_was_deleted_is_removed():
    roll = carried(fresh(), BEFORE, BEFORE)
    assert onward(roll, Observed(RELEASED, None), at(3)).acts == (Act.OWN, Act.EVICT)


def test_a_pod_that_dies_by_itself_in_mid_surge_is_verified():
    roll = carried(fresh(), BEFORE, BEFORE)
    assert onward(roll, Observed(None, workload()), at(3)).status.phase is Phase.VERIFYING


def test_a_final_roll_stays_as_it_is():
    for phase in ("Succeeded", "Failed", "Aborted"):
        roll = PodRoll.read(roll_json(phase))
        step = onward(roll, BEFORE, NOW)
        assert (step.status, step.acts) == (roll.status, ())


def test_only_the_mark_of_the_record_counts_as_released():
    roll = carried(fresh(), BEFORE, BEFORE)
    assert is_released(RELEASED, roll.status)
    assert not is_released(pod(), roll.status)
