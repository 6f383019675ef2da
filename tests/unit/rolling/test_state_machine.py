"""State machine of a roll, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.pod_roll import Phase, PodRoll
from memroll.model.permissions import Permissions
from memroll.model.pods import RELEASED_HASH
from memroll.rolling.actions import (
    ADD_OWNER,
    EVICT_POD,
    LEAVE_TO_WORKLOAD,
    PREFER_REPLACEMENT_DELETION,
    RELEASE_POD,
    RESTORE_POD,
)
from memroll.rolling.observation import Observation
from memroll.rolling.pod_labels import is_released
from memroll.rolling.restart import RESTART_WORKLOAD
from tests.builders import NOW, advance, after_steps, at, pod, roll_json, workload

REPLACEMENT = pod("leaky-new", created_at=at(2), ready=True)
RELEASED = pod(
    labels={"app": "leaky", "pod-template-hash": RELEASED_HASH},
    annotations={"memroll.dev/roll": "leaky-abc-1", "memroll.dev/released-from": "5d"},
    controller=None,
)


def fresh(**spec) -> PodRoll:
    return PodRoll.read(roll_json(spec=spec))


BEFORE = Observation(pod(), workload())
SURGING = Observation(RELEASED, workload())
REPLACED = Observation(RELEASED, workload(), (REPLACEMENT,))
GONE = Observation(None, workload(), (REPLACEMENT,))


def test_a_surge_releases_waits_evicts_and_succeeds():
    announced = advance(fresh(), BEFORE, NOW)
    assert (announced.status.phase, announced.status.strategy, announced.actions) == ("Announced", "Surge", ())
    assert announced.status.ready_before == 1
    roll = after_steps(fresh(), BEFORE)
    released = advance(roll, BEFORE, NOW)
    assert (released.status.phase, released.actions) == (Phase.REPLACING, (RELEASE_POD,))
    assert released.status.release is not None
    assert released.status.release.template_hash == "5d"
    roll = after_steps(fresh(), BEFORE, BEFORE)
    waiting = advance(roll, SURGING, at(1))
    assert (waiting.status.message, waiting.actions) == ("waiting: no replacement exists yet", ())
    evicting = advance(roll, REPLACED, at(5))
    assert (evicting.status.phase, evicting.actions) == (Phase.EVICTING, (ADD_OWNER, EVICT_POD))
    roll = after_steps(fresh(), BEFORE, BEFORE, REPLACED, GONE, GONE)
    assert (roll.status.phase, roll.status.message) == (Phase.SUCCEEDED, "replaced by leaky-new")


def test_an_eviction_needs_no_release():
    roll = after_steps(fresh(strategy="Evict"), BEFORE)
    transition = advance(roll, BEFORE, NOW)
    assert (transition.status.phase, transition.actions) == (Phase.EVICTING, (EVICT_POD,))
    roll = after_steps(roll, BEFORE)
    assert after_steps(roll, Observation(None, workload())).status.phase is Phase.VERIFYING
    half = after_steps(roll, Observation(None, workload()), Observation(None, workload()))
    assert half.status.message == "the old pod is gone, but no replacement exists yet"
    assert after_steps(half, GONE).status.phase is Phase.SUCCEEDED


def test_a_pod_that_can_t_be_surged_is_evicted_with_the_reason():
    exclusive = Observation(pod(exclusive_because="host port 80"), workload())
    status = after_steps(fresh(), exclusive).status
    assert (status.strategy, status.strategy_reason) == (
        "Evict",
        "a second copy of the pod can't run next to it: host port 80",
    )


def test_without_the_right_to_surge_a_pod_is_evicted():
    status = after_steps(fresh(), Observation(pod(), workload(), permissions=Permissions(surge=False))).status
    assert (status.strategy, status.strategy_reason) == ("Evict", "memroll was installed without the right to surge")


BY_HASH = "Service chat selects the pod by its label pod-template-hash"
CHANGED = [
    pytest.param(Observation(pod(), workload(), hash_selector=BY_HASH), "Evict", BY_HASH, id="a Service appears"),
    pytest.param(
        Observation(pod(), workload(must_not_surge_because="maxSurge 0")), "Evict", "maxSurge 0",
        id="maxSurge turns 0",
    ),
    pytest.param(
        Observation(pod(), workload(has_recreate_strategy=True)), "Restart",
        "Deployment/leaky has strategy Recreate (two of its pods must never run at once)", id="Recreate is set",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("observation", "strategy", "reason"), CHANGED)
def test_a_surge_that_became_unsupported_after_the_announcement_is_not_released(observation, strategy, reason):
    roll = after_steps(fresh(), BEFORE)
    assert roll.status.strategy == "Surge"
    transition = advance(roll, observation, NOW)
    assert (transition.status.strategy, transition.status.strategy_reason) == (strategy, reason)
    assert RELEASE_POD not in transition.actions
    required = advance(after_steps(fresh(strategy="Surge"), BEFORE), observation, NOW)
    assert (required.status.phase, required.status.reason, required.actions) == (Phase.FAILED, "Refused", ())
    assert required.status.message == f"strategy Surge is set in the spec, but {reason}"


@pytest.mark.parametrize(("observation", "strategy", "reason"), CHANGED)
def test_a_release_that_was_recorded_but_not_performed_is_checked_again(observation, strategy, reason):
    """The process died between the record and the action."""
    roll = after_steps(fresh(), BEFORE, BEFORE)
    assert (roll.status.phase, roll.status.release is None) == (Phase.REPLACING, False)
    transition = advance(roll, observation, at(5))
    assert (transition.actions, transition.status.reason, transition.status.message) == ((), "WorkloadChanging", reason)
    ended = after_steps(roll, observation, observation)
    assert (ended.status.phase, ended.status.message) == (Phase.ABORTED, reason)


RECREATE = workload(has_recreate_strategy=True)
NEVER_TWO = "Deployment/leaky has strategy Recreate (two of its pods must never run at once)"
UNIQUE = pod(exclusive_because="host port 80")


def test_an_eviction_that_became_unsafe_after_the_announcement_is_not_made():
    """The ReplicaSet would create the replacement while the evicted pod still terminates."""
    roll = after_steps(fresh(), Observation(UNIQUE, workload()))
    assert roll.status.strategy == "Evict"
    transition = advance(roll, Observation(UNIQUE, RECREATE), NOW)
    assert (transition.status.strategy, transition.status.strategy_reason) == ("Restart", NEVER_TWO)
    assert transition.actions == (RESTART_WORKLOAD,)
    required = advance(after_steps(fresh(strategy="Evict"), BEFORE), Observation(pod(), RECREATE), NOW)
    assert (required.status.strategy, required.actions) == ("Evict", (EVICT_POD,))


@pytest.mark.parametrize(
    ("requested", "reason"),
    [
        pytest.param(
            "Auto", f"{NEVER_TWO}, and Deployment/leaky is paused: resume it, or roll.strategy: Evict", id="Auto"
        ),
        pytest.param("Restart", "strategy Restart is set in the spec, but Deployment/leaky is paused", id="Restart"),
    ],
)
def test_a_workload_that_was_paused_after_the_announcement_is_not_restarted(requested, reason):
    roll = after_steps(fresh(strategy=requested), Observation(pod(), RECREATE))
    assert roll.status.strategy == "Restart"
    transition = advance(roll, Observation(pod(), replace(RECREATE, paused=True)), NOW)
    assert (transition.status.phase, transition.status.reason, transition.actions) == (Phase.FAILED, "Refused", ())
    assert transition.status.message == reason


def test_a_restart_that_is_no_longer_needed_becomes_a_surge():
    roll = after_steps(fresh(), Observation(pod(), RECREATE))
    assert roll.status.strategy == "Restart"
    transition = advance(roll, BEFORE, NOW)
    assert (transition.status.strategy, transition.actions) == ("Surge", (RELEASE_POD,))
    assert transition.status.restarted_at is None
    evicted = advance(roll, Observation(pod(), workload(), hash_selector=BY_HASH), NOW)
    assert (evicted.status.strategy, evicted.status.strategy_reason) == ("Evict", BY_HASH)


def test_a_pod_whose_room_is_taken_after_the_announcement_is_evicted_unless_a_surge_is_required():
    full = Observation(pod(), workload(), missing_room="no node has room")
    transition = advance(after_steps(fresh(), BEFORE), full, NOW)
    assert (transition.status.strategy, transition.status.strategy_reason) == ("Evict", "no node has room")
    assert transition.actions == (EVICT_POD,)
    required = advance(after_steps(fresh(strategy="Surge"), BEFORE), full, NOW)
    assert (required.status.strategy, required.actions) == ("Surge", (RELEASE_POD,))


ENDS = [
    pytest.param(fresh(), [Observation(None, None)], Phase.ABORTED, "PodGone", id="the pod does not exist"),
    pytest.param(fresh(), [Observation(pod(controller=None), None)], Phase.FAILED, "Refused", id="a bare pod"),
    pytest.param(
        fresh(strategy="Surge"),
        [Observation(pod(exclusive_because="host port 80"), workload())],
        Phase.FAILED,
        "Refused",
        id="an impossible surge",
    ),
    pytest.param(
        fresh(cancel=True), [BEFORE, BEFORE], Phase.ABORTED, "Canceled", id="canceled before anything was changed"
    ),
    pytest.param(
        fresh(),
        [BEFORE, Observation(pod(), workload(), (), "policy leaky is suspended")],
        Phase.ABORTED,
        "Withdrawn",
        id="a policy that was suspended since",
    ),
    pytest.param(
        fresh(),
        [BEFORE, Observation(pod(), workload(rollout_in_progress="updating"))],
        Phase.ABORTED,
        "WorkloadChanging",
        id="a rollout that began since",
    ),
    pytest.param(
        fresh(duringRollout="Evict", strategy="Surge"),
        [BEFORE, Observation(pod(), workload(rollout_in_progress="updating"))],
        Phase.ABORTED,
        "WorkloadChanging",
        id="a rollout during which only an eviction is permitted",
    ),
    pytest.param(
        fresh(duringRollout="Evict", strategy="Evict"),
        [BEFORE, Observation(pod(), workload(rollout_in_progress="updating", controller_replicas=0))],
        Phase.ABORTED,
        "WorkloadChanging",
        id="an eviction after which the pod would not be created again",
    ),
    pytest.param(
        fresh(strategy="Evict"),
        [BEFORE, Observation(pod(), workload(rollout_in_progress="updating"))],
        Phase.ABORTED,
        "WorkloadChanging",
        id="an eviction that is not permitted during a rollout",
    ),
    pytest.param(
        fresh(),
        [BEFORE, Observation(pod(deleting=True), workload())],
        Phase.ABORTED,
        "PodGone",
        id="a pod that is being deleted",
    ),
    pytest.param(
        fresh(), [BEFORE, Observation(pod(), None)], Phase.ABORTED, "WorkloadChanging", id="a workload that is gone"
    ),
]


@pytest.mark.parametrize(("roll", "observations", "phase", "reason"), ENDS)
def test_a_roll_can_end_before_anything_is_changed(roll, observations, phase, reason):
    for observation in observations:
        transition = advance(roll, observation, NOW)
        assert transition.actions == ()
        roll = roll.model_copy(update={"status": transition.status})
    assert (roll.status.phase, roll.status.reason) == (phase, reason)
    assert roll.status.times.finished == NOW


def test_an_eviction_that_the_spec_permits_during_a_rollout_begins():
    updating = Observation(pod(), workload(rollout_in_progress="updating"))
    roll = after_steps(fresh(duringRollout="Evict", strategy="Evict"), updating)
    transition = advance(roll, updating, NOW)
    assert (transition.status.phase, transition.actions) == (Phase.EVICTING, (EVICT_POD,))


def test_a_replacement_that_never_becomes_ready_is_rolled_back():
    roll = after_steps(fresh(), BEFORE, BEFORE)
    pending = Observation(RELEASED, workload(), (replace(REPLACEMENT, ready=False, phase="Pending"),))
    late = advance(roll, pending, at(601))
    assert late.actions == (RESTORE_POD,)
    assert late.status.phase is Phase.REPLACING
    assert late.status.message == ("replacement leaky-new is Pending and not Ready in time: restoring the pod")
    roll = roll.model_copy(update={"status": late.status})
    assert advance(roll, pending, at(602)).actions == (RESTORE_POD,), "still released: restored again"
    back = advance(roll, Observation(pod(), workload()), at(603))
    assert (back.status.phase, back.status.reason, back.actions) == (Phase.FAILED, "ReplacementNotReady", ())


def test_a_cancellation_during_a_surge_restores_the_pod():
    roll = after_steps(fresh(), BEFORE, BEFORE)
    canceled = roll.model_copy(update={"spec": roll.spec.model_copy(update={"cancel": True})})
    transition = advance(canceled, REPLACED, at(5))
    assert transition.actions == (PREFER_REPLACEMENT_DELETION, RESTORE_POD)
    canceled = canceled.model_copy(update={"status": transition.status})
    assert advance(canceled, BEFORE, at(6)).status.phase is Phase.ABORTED


def test_a_crash_before_the_release_repeats_it():
    roll = after_steps(fresh(), BEFORE, BEFORE)
    assert advance(roll, BEFORE, at(1)).actions == (RELEASE_POD,)


def test_the_old_pod_stays_when_its_replacement_fails_again():
    roll = after_steps(fresh(), BEFORE, BEFORE, REPLACED)
    broken = Observation(RELEASED, workload(), (replace(REPLACEMENT, ready=False),))
    transition = advance(roll, broken, at(5))
    assert transition.actions == ()
    assert "the old pod stays" in transition.status.message
    assert advance(roll, broken, at(700)).actions == (RESTORE_POD,)


def test_the_pod_stays_when_its_eviction_is_blocked_for_too_long():
    roll = after_steps(fresh(strategy="Evict"), BEFORE, BEFORE)
    transition = advance(roll, BEFORE, at(601))
    assert (transition.status.reason, transition.actions) == ("EvictionTimedOut", ())
    roll = roll.model_copy(update={"status": transition.status})
    assert advance(roll, BEFORE, at(602)).status.phase is Phase.FAILED


def test_a_workload_scaled_down_meanwhile_needs_no_replacement():
    three = workload(controller_replicas=3, replicas=3)
    others = (pod("b"), pod("c"))
    roll = after_steps(fresh(), Observation(pod(), three, others), Observation(pod(), three, others))
    assert roll.status.ready_before == 3
    assert advance(roll, Observation(RELEASED, three, others), at(3)).actions == ()
    two = workload(controller_replicas=2, replicas=2)
    assert advance(roll, Observation(RELEASED, two, others), at(3)).actions == (ADD_OWNER, EVICT_POD)


def test_a_workload_scaled_up_meanwhile_needs_only_as_many_ready_pods_as_before():
    roll = after_steps(fresh(), BEFORE, BEFORE)
    three = workload(controller_replicas=3, replicas=3)
    starting = tuple(pod(name, created_at=at(2), ready=False) for name in ("b", "c", "d"))
    assert advance(roll, Observation(RELEASED, three, starting), at(3)).actions == ()
    one_ready = (*starting[:2], pod("d", created_at=at(2), ready=True))
    assert advance(roll, Observation(RELEASED, three, one_ready), at(3)).actions == (ADD_OWNER, EVICT_POD)


def test_a_pod_of_a_workload_that_was_deleted_is_removed():
    roll = after_steps(fresh(), BEFORE, BEFORE)
    assert advance(roll, Observation(RELEASED, None), at(3)).actions == (LEAVE_TO_WORKLOAD, EVICT_POD)


def test_a_pod_that_is_gone_during_a_surge_is_verified():
    roll = after_steps(fresh(), BEFORE, BEFORE)
    assert advance(roll, Observation(None, workload()), at(3)).status.phase is Phase.VERIFYING


def test_a_final_roll_stays_as_it_is():
    for phase in ("Succeeded", "Failed", "Aborted"):
        roll = PodRoll.read(roll_json(phase))
        transition = advance(roll, BEFORE, NOW)
        assert (transition.status, transition.actions) == (roll.status, ())


def test_a_pod_is_released_by_the_label_in_the_record():
    roll = after_steps(fresh(), BEFORE, BEFORE)
    assert is_released(RELEASED, roll.status)
    assert not is_released(pod(), roll.status)


def test_a_do_not_disrupt_annotation_stops_a_roll_by_hand_too():
    transition = advance(
        PodRoll.read(roll_json()), replace(BEFORE, must_not_roll_because="the pod is marked do-not-disrupt"), NOW
    )
    assert (transition.status.phase, transition.status.reason, transition.actions) == (Phase.ABORTED, "Refused", ())
