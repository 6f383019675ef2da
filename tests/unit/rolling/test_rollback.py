"""Rollbacks: when a released pod is restored, when it must not be, and how the roll ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.pod_roll import Phase, PodRoll
from memroll.model.pods import RELEASED_HASH
from memroll.rolling.actions import ADD_OWNER, EVICT_POD, PREFER_REPLACEMENT_DELETION, RESTORE_POD
from memroll.rolling.observation import Observation
from memroll.rolling.reasons import UNINSTALLED
from tests.builders import TRIGGER, advance, after_steps, at, pod, roll_json, workload

REPLACEMENT = pod("leaky-new", created_at=at(2), ready=True)
RELEASED = pod(labels={"app": "leaky", "pod-template-hash": RELEASED_HASH}, controller=None)
BEFORE = Observation(pod(), workload())
REPLACED = Observation(RELEASED, workload(), (REPLACEMENT,))
NO_ROOM = Observation(RELEASED, workload(), (pod("leaky-new", created_at=at(2), ready=False, unschedulable=True),))
MARK_AND_RESTORE = (PREFER_REPLACEMENT_DELETION, RESTORE_POD)


def released(**spec) -> PodRoll:
    return after_steps(PodRoll.read(roll_json(spec=spec)), BEFORE, BEFORE)


def test_a_pod_is_not_restored_under_a_replica_set_with_0_replicas():
    """Somebody rolled out another revision: adoption would delete the pod while nothing else is Ready."""
    roll = released()
    rollout = replace(
        workload(controller_replicas=0), rollout_in_progress="Deployment/leaky is at revision 2, the pod at 1"
    )
    unready = Observation(RELEASED, rollout, (replace(REPLACEMENT, ready=False),))
    late = advance(roll, unready, at(700))
    assert (late.status.phase, late.actions) == (Phase.REPLACING, ())
    assert "keeps serving" in late.status.message
    canceled = PodRoll.read(roll_json(spec={"cancel": True})).model_copy(update={"status": roll.status})
    assert advance(canceled, unready, at(5)).actions == ()
    ready = advance(roll, Observation(RELEASED, rollout, (REPLACEMENT,)), at(710))
    assert (ready.status.phase, ready.actions) == (Phase.EVICTING, (ADD_OWNER, EVICT_POD))


def test_a_fallback_evicts_the_pod_only_once_its_replica_set_has_adopted_it():
    roll = after_steps(released(trigger=TRIGGER | {"timeToLimitSeconds": 900}), NO_ROOM, seconds=601)
    assert advance(roll, NO_ROOM, at(602)).actions == (RESTORE_POD,)
    orphan = Observation(pod(controller=None), workload())
    assert advance(roll, orphan, at(603)).actions == ()
    adopted = advance(roll, BEFORE, at(604))
    assert (adopted.status.phase, adopted.status.strategy, adopted.actions) == (Phase.EVICTING, "Evict", (EVICT_POD,))
    assert adopted.status.release is None


def test_a_fallback_does_not_evict_the_pod_of_a_workload_that_became_recreate():
    """The ReplicaSet would create the replacement while the evicted pod still terminates."""
    roll = after_steps(released(trigger=TRIGGER | {"timeToLimitSeconds": 900}), NO_ROOM, seconds=601)
    assert roll.status.reason == "FallingBack"
    recreate = workload(has_recreate_strategy=True)
    assert advance(roll, replace(NO_ROOM, workload=recreate), at(602)).actions == (RESTORE_POD,)
    ended = advance(roll, Observation(pod(), recreate), at(604))
    assert (ended.status.phase, ended.status.reason, ended.actions) == (Phase.FAILED, "ReplacementNotReady", ())
    assert ended.status.message == (
        "the pod is restored, and not evicted: "
        "Deployment/leaky has strategy Recreate (two of its pods must never run at once)"
    )


@pytest.mark.parametrize(
    ("observations", "actions", "phase"),
    [
        pytest.param((), (), Phase.ANNOUNCED, id="not announced"),
        pytest.param((BEFORE,), (), Phase.ABORTED, id="announced"),
        pytest.param((BEFORE, BEFORE), MARK_AND_RESTORE, Phase.REPLACING, id="released"),
        pytest.param((BEFORE, BEFORE, REPLACED), MARK_AND_RESTORE, Phase.EVICTING, id="evicting"),
    ],
)
def test_an_uninstall_rolls_back(observations, actions, phase):
    roll = after_steps(PodRoll.read(roll_json()), *observations)
    observation = replace(BEFORE if len(observations) < 2 else REPLACED, uninstalling="memroll is being uninstalled")
    transition = advance(roll, observation, at(5))
    assert (transition.actions, transition.status.phase) == (actions, phase)
    if len(observations) > 1:
        assert transition.status.reason == UNINSTALLED


def test_a_released_pod_of_a_workload_that_is_scaled_to_zero_is_restored():
    """Its ReplicaSet deletes it like the others: an eviction could be blocked by a PodDisruptionBudget forever."""
    none = Observation(RELEASED, workload(controller_replicas=0, replicas=0))
    transition = advance(released(), none, at(5))
    assert (transition.status.reason, transition.actions) == ("ScaledToZero", (RESTORE_POD,))
    roll = after_steps(released(), none, seconds=5)
    gone = Observation(None, workload(controller_replicas=0, replicas=0))
    ended = after_steps(roll, gone, gone, seconds=7).status
    assert (ended.phase, ended.reason) == (Phase.ABORTED, "ScaledToZero")


def test_annotations_left_on_a_pod_that_a_person_restored_are_removed():
    roll = after_steps(released(), REPLACED, seconds=5)
    restored_by_hand = Observation(pod(annotations={"memroll.dev/roll": "leaky-abc-1"}), workload())
    late = after_steps(roll, restored_by_hand, seconds=700)
    assert late.status.reason == "ReplacementNotReady"
    assert advance(late, restored_by_hand, at(701)).actions == (RESTORE_POD,)
    assert advance(late, BEFORE, at(702)).status.phase is Phase.FAILED
