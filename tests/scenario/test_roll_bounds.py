"""Bounds of rolls: each state that can last is left after some time, and the record contains how it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from memroll.api.base import rfc3339
from memroll.api.pod_roll import Detachment, Phase, PodRoll, ReplacementPod
from memroll.model.pods import RELEASED_HASH
from memroll.rolling.actions import (
    ADD_OWNER,
    EVICT_POD,
    LEAVE_TO_WORKLOAD,
    PREFER_REPLACEMENT_DELETION,
    RESTORE_POD,
)
from memroll.rolling.observation import Observation
from memroll.rolling.restart import RESTART_WORKLOAD
from tests.builders import NOW, TRIGGER, advance, after_steps, at, container, pod, roll_json, workload

if TYPE_CHECKING:
    from memroll.rolling.observation import Transition

TIMEOUT_S = 600
REPLACEMENT = pod("leaky-new", created_at=at(2), ready=True)
PENDING = replace(REPLACEMENT, ready=False)
RELEASED = pod(labels={"app": "leaky", "pod-template-hash": RELEASED_HASH}, controller=None)
TERMINATING = replace(RELEASED, deleting=True, deletion_due_at=at(40))
BEFORE = Observation(pod(), workload())
REPLACED = Observation(RELEASED, workload(), (REPLACEMENT,))
UNWANTED = workload(controller_replicas=0, replicas=1, rollout_in_progress="Deployment/leaky is at revision 2")


def released(**spec) -> PodRoll:
    return after_steps(PodRoll.read(roll_json(spec=spec)), BEFORE, BEFORE)


def evicting(**spec) -> PodRoll:
    return after_steps(released(**spec), REPLACED, seconds=5)


def outcome(transition: Transition) -> tuple[str, str]:
    return str(transition.status.phase), transition.status.reason


# A pod that terminates.


def test_a_roll_ends_when_the_old_pod_terminates_and_its_replacement_is_ready():
    """A grace period of half an hour, a finalizer or a lost node must not block the peers."""
    roll = after_steps(evicting(), replace(REPLACED, pod=TERMINATING), seconds=35)
    assert roll.status.phase is Phase.EVICTING, "most pods are gone within the default grace period"
    roll = after_steps(roll, replace(REPLACED, pod=TERMINATING), seconds=36)
    assert roll.status.phase is Phase.VERIFYING
    ended = advance(roll, replace(REPLACED, pod=TERMINATING), at(37)).status
    assert (ended.phase, ended.message) == (Phase.SUCCEEDED, "replaced by leaky-new; the old pod is terminating")


def test_a_pod_that_never_terminates_ends_its_roll_as_failed():
    """A StatefulSet creates the replacement only when the old pod is gone."""
    stuck = Observation(TERMINATING, workload())
    roll = after_steps(released(), stuck, seconds=99)
    assert roll.status.message == "the old pod is terminating", "until a minute after its grace period"
    roll = after_steps(roll, stuck, seconds=101)
    assert (roll.status.phase, roll.status.reason) == (Phase.VERIFYING, "TerminationTimedOut")
    assert advance(roll, stuck, at(101 + TIMEOUT_S)).status.phase is Phase.VERIFYING
    ended = advance(roll, stuck, at(102 + TIMEOUT_S))
    assert outcome(ended) == ("Failed", "TerminationTimedOut")
    assert ended.status.message == (
        "the old pod still terminates, 11m after its grace period: its node is lost, or a finalizer holds it,"
        " but no replacement exists yet"
    )


def test_an_uninstall_does_not_wait_for_a_terminating_pod():
    stuck = Observation(TERMINATING, workload(), uninstalling="memroll is being uninstalled")
    roll = after_steps(released(), stuck, stuck, seconds=10)
    assert (roll.status.phase, roll.status.reason) == (Phase.SUCCEEDED, "Uninstalled")


# An eviction that a PodDisruptionBudget blocks.


@pytest.mark.parametrize("gone", [None, UNWANTED], ids=["the workload is deleted", "another revision is rolled out"])
def test_a_pod_that_no_workload_needs_is_evicted_for_longer_and_then_left_to_the_search_for_orphans(gone):
    observation = Observation(RELEASED, gone, (REPLACEMENT,))
    roll = after_steps(released(), observation, seconds=5)
    assert roll.status.phase is Phase.EVICTING
    blocked = roll.model_copy(
        update={"status": roll.status.model_copy(update={"reason": "BlockedByPodDisruptionBudget", "message": "no"})}
    )
    owner = LEAVE_TO_WORKLOAD if gone is None else ADD_OWNER
    assert advance(blocked, observation, at(5 + TIMEOUT_S + 1)).actions == (owner, EVICT_POD)
    ended = advance(blocked, observation, at(5 + 2 * TIMEOUT_S + 1))
    assert outcome(ended) == ("Failed", "StillReleased")
    assert ended.status.message == "not evicted in time (no), and no workload needs the pod"


def test_a_blocked_pod_that_its_workload_needs_is_restored_after_the_timeout():
    transition = advance(evicting(), REPLACED, at(5 + TIMEOUT_S + 1))
    assert transition.status.reason == "EvictionTimedOut"
    assert transition.actions == (PREFER_REPLACEMENT_DELETION, RESTORE_POD), "no other Ready pod is deleted for it"


def test_a_pod_that_can_never_be_evicted_is_not_released():
    """Two PodDisruptionBudgets: the API server evicts the pod neither before nor after the surge."""
    observation = replace(BEFORE, never_evictable_because="This pod has more than one PodDisruptionBudget")
    roll = after_steps(PodRoll.read(roll_json()), BEFORE)
    ended = advance(roll, observation, NOW)
    assert outcome(ended) == ("Failed", "EvictionRefused")
    assert (ended.actions, ended.status.release) == ((), None)
    restart = after_steps(PodRoll.read(roll_json(spec={"strategy": "Restart"})), BEFORE)
    assert advance(restart, observation, NOW).actions == (RESTART_WORKLOAD,), "a restart evicts no pod"


# A replacement that does not become Ready.


def test_a_pod_without_room_for_its_replacement_is_evicted_before_its_limit():
    """Not after the replacement timeout: by then it would have been OOM-killed."""
    no_room = Observation(RELEASED, workload(), (replace(PENDING, unschedulable=True),))
    roll = released(trigger=TRIGGER | {"timeToLimitSeconds": 200})
    assert advance(roll, no_room, at(139)).actions == ()
    transition = advance(roll, no_room, at(140))
    assert (transition.status.reason, transition.actions) == ("FallingBack", (RESTORE_POD,))
    broken = Observation(RELEASED, workload(), (PENDING,))
    assert advance(roll, broken, at(140)).actions == (), "only for a lack of room"


def test_the_record_of_such_an_eviction_names_the_lack_of_room():
    no_room = Observation(RELEASED, workload(), (replace(PENDING, unschedulable=True, not_ready_reason="no node"),))
    roll = after_steps(released(trigger=TRIGGER | {"timeToLimitSeconds": 50}), no_room, seconds=1)
    status = after_steps(roll, BEFORE, seconds=3).status
    assert (status.phase, status.strategy, status.replacement) == (Phase.EVICTING, "Evict", None)
    assert status.strategy_reason.startswith(
        "a surge had no room: replacement leaky-new is Running and not Ready (no node)"
    )


RESTARTED = (container(started_at=at(20), oom_killed_at=at(19)),)


@pytest.mark.parametrize(
    ("strategy", "seconds"), [pytest.param("Auto", 25, id="surge"), pytest.param("Evict", 25, id="evict")]
)
def test_a_container_that_restarted_during_the_roll_is_not_evicted(strategy, seconds):
    """Its memory is free again: the eviction would cost a Ready pod for nothing."""
    trigger = TRIGGER | {"container": "app", "containerStarted": rfc3339(at(-180)), "timeToLimitSeconds": 20}
    roll = after_steps(PodRoll.read(roll_json(spec={"strategy": strategy, "trigger": trigger})), BEFORE, BEFORE)
    old = replace(RELEASED if roll.status.release else pod(), containers=RESTARTED)
    observation = Observation(old, workload(), (replace(PENDING, unschedulable=True),))
    transition = advance(roll, observation, at(seconds))
    assert transition.status.reason == "ContainerRestarted"
    assert EVICT_POD not in transition.actions
    roll = after_steps(roll, observation, seconds=seconds)
    restored = Observation(replace(pod(), containers=RESTARTED), workload())
    ended = advance(roll, restored, at(seconds + 2)).status
    assert ended.phase is Phase.ABORTED
    assert ended.message == (
        "container app has restarted after an OOM kill at 2026-03-01T12:00:20Z, which freed its memory:"
        " the pod is restored"
    )


def test_a_fallback_stops_when_the_container_restarts():
    trigger = TRIGGER | {"container": "app", "containerStarted": rfc3339(at(-180)), "timeToLimitSeconds": 20}
    no_room = Observation(RELEASED, workload(), (replace(PENDING, unschedulable=True),))
    roll = after_steps(released(trigger=trigger), no_room, seconds=2)
    assert roll.status.reason == "FallingBack"
    adopted = Observation(pod(containers=RESTARTED), workload())
    transition = advance(roll, adopted, at(25))
    assert (transition.status.reason, EVICT_POD in transition.actions) == ("ContainerRestarted", False)


def test_a_ready_replacement_counts_when_another_pod_is_missing_for_long():
    """To roll back would delete the replacement, and not make the other pod Ready."""
    roll = PodRoll.read(roll_json())
    three = workload(controller_replicas=3, replicas=3)
    sibling = pod("leaky-sibling")
    announced = Observation(pod(), three, (sibling, pod("leaky-other")))
    roll = after_steps(roll, announced, announced)
    short = Observation(RELEASED, three, (replace(sibling, ready=False), pod("leaky-other"), REPLACEMENT))
    assert advance(roll, short, at(TIMEOUT_S)).actions == ()
    transition = advance(roll, short, at(TIMEOUT_S + 1))
    assert (transition.status.phase, transition.actions) == (Phase.EVICTING, (ADD_OWNER, EVICT_POD))
    roll = after_steps(roll, short, seconds=TIMEOUT_S + 1)
    assert advance(roll, short, at(TIMEOUT_S + 2)).actions == (ADD_OWNER, EVICT_POD)
    drained = after_steps(
        roll.model_copy(update={"status": roll.status.model_copy(update={"detachment": Detachment()})}),
        replace(short, detachment=Detachment()),
        seconds=TIMEOUT_S + 3,
    )
    assert drained.status.reason != "ReplacementLost"


# A rollback that can't be completed.


def test_a_pod_that_can_t_be_restored_is_left_to_the_search_for_orphans():
    unready = Observation(RELEASED, UNWANTED, (PENDING,))
    roll = released()
    assert advance(roll, unready, at(2 * TIMEOUT_S)).status.phase is Phase.REPLACING
    ended = advance(roll, unready, at(2 * TIMEOUT_S + 1))
    assert outcome(ended) == ("Failed", "StillReleased")
    assert "its ReplicaSet has 0 replicas: the pod keeps serving until others are Ready" in ended.status.message


ROLLED_BACK = {
    "still released": Observation(RELEASED, UNWANTED, (PENDING,)),
    "not adopted": Observation(pod(controller=None), workload(), (PENDING,)),
    "annotations left": Observation(pod(annotations={"memroll.dev/roll": "leaky-abc-1"}), workload(), (PENDING,)),
}


@pytest.mark.parametrize("observation", ROLLED_BACK.values(), ids=ROLLED_BACK)
@pytest.mark.parametrize("time_to_limit_s", [90_000, 20], ids=["rollback", "fallback"])
def test_a_rollback_takes_no_longer_than_the_replacement_timeout(observation, time_to_limit_s):
    no_room = Observation(RELEASED, workload(), (replace(PENDING, unschedulable=True),))
    roll = released(trigger=TRIGGER | {"timeToLimitSeconds": time_to_limit_s})
    roll = after_steps(roll, no_room, seconds=TIMEOUT_S + 1)
    assert roll.status.times.rolling_back == at(TIMEOUT_S + 1)
    assert advance(roll, observation, at(2 * TIMEOUT_S + 1)).status.phase is Phase.REPLACING
    last = after_steps(roll, observation, seconds=2 * TIMEOUT_S + 2)
    assert last.status.message.endswith("; this is the last attempt")
    ended = advance(last, observation, at(2 * TIMEOUT_S + 3))
    assert outcome(ended) == ("Failed", "StillReleased")
    assert ended.status.message.endswith("; the pod is not restored in time")


def test_a_rollback_is_completed_although_no_process_was_running_in_time():
    no_room = Observation(RELEASED, workload(), (replace(PENDING, unschedulable=True),))
    roll = after_steps(released(), no_room, seconds=TIMEOUT_S + 1)
    late = advance(roll, no_room, at(10 * TIMEOUT_S))
    assert late.actions == (RESTORE_POD,)
    roll = after_steps(roll, no_room, BEFORE, seconds=10 * TIMEOUT_S)
    assert (roll.status.phase, roll.status.reason) == (Phase.FAILED, "ReplacementNotReady")
    assert roll.status.message.endswith("in time: the pod is restored")


# A workload that disappears, and a restart that can't be made.


@pytest.mark.parametrize(
    ("found", "reason"),
    [(None, "WorkloadGone"), (workload(controller_replicas=0, replicas=0), "ScaledToZero")],
    ids=["deleted", "scaled to zero"],
)
def test_a_roll_of_a_workload_that_no_longer_needs_a_pod_is_no_success(found, reason):
    gone = Observation(None, found)
    roll = after_steps(evicting(), gone, gone, seconds=10)
    assert (roll.status.phase, roll.status.reason) == (Phase.ABORTED, reason)


@pytest.mark.parametrize(
    ("changes", "seconds", "message"),
    [
        pytest.param({"paused": True}, 5, "Deployment/leaky is paused: nothing was changed", id="paused"),
        pytest.param({}, 601, "Deployment/leaky could not be restarted in time: nothing was changed", id="too late"),
    ],
)
def test_a_restart_that_was_recorded_and_not_made_ends(changes, seconds, message):
    roll = after_steps(PodRoll.read(roll_json(spec={"strategy": "Restart"})), BEFORE, BEFORE)
    assert roll.status.restarted_at is not None
    ended = advance(roll, Observation(pod(), workload(**changes)), at(seconds))
    assert (ended.status.phase, ended.status.message, ended.actions) == (Phase.ABORTED, message, ())


# The replacement of one roll is not that of another.


def test_a_new_pod_replaces_one_rolled_pod_only():
    first, second = pod("leaky-new-1", created_at=at(2)), pod("leaky-new-2", created_at=at(3))
    observation = Observation(RELEASED, workload(), (first, second), claimed=frozenset({second.key.uid}))
    status = advance(released(), observation, at(5)).status
    assert status.replacement == ReplacementPod(name="leaky-new-1", uid=first.key.uid)
    none_left = replace(observation, claimed=frozenset({first.key.uid, second.key.uid}))
    assert advance(released(), none_left, at(5)).status.replacement is None


def test_a_recorded_replacement_stays_the_same_while_it_exists():
    roll = after_steps(released(), Observation(RELEASED, workload(), (PENDING,)), seconds=3)
    assert roll.status.replacement is not None
    younger = pod("leaky-younger", created_at=at(4))
    status = advance(roll, Observation(RELEASED, workload(), (REPLACEMENT, younger)), at(5)).status
    assert status.replacement == ReplacementPod(name="leaky-new", uid=REPLACEMENT.key.uid)
    gone = advance(roll, Observation(RELEASED, workload(), (younger,)), at(5)).status
    assert gone.replacement == ReplacementPod(name="leaky-younger", uid=younger.key.uid)
