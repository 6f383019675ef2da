"""Draining, falling back, rollouts in mid-surge and Restart: the steps that come after a release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.pod_roll import Detachment, Phase, PodRoll
from memroll.model.pods import DETACHED_VALUE, RELEASED_HASH
from memroll.rolling.observation import Act, Observed
from memroll.rolling.rollback import FALLING_BACK, LOST, RETIRED
from tests.builders import NOW, at, onward, pod, roll_json, workload

DETACH = {"mode": "Detach", "wait": "10s", "timeout": "60s"}
UNTIL = DETACH | {"until": {"metric": "http_inflight_requests", "atMost": 1}}
KNOWN = Detachment(labels={"app": "leaky"})
NEWCOMER = pod("leaky-new", created_at=at(2), ready=True)
RELEASED = pod(labels={"app": "leaky", "pod-template-hash": RELEASED_HASH}, controller=None)
DETACHED = replace(RELEASED, labels={"app": DETACHED_VALUE, "pod-template-hash": RELEASED_HASH})
BEFORE = Observed(pod(), workload())
REPLACED = Observed(RELEASED, workload(), (NEWCOMER,), detachment=KNOWN)
DRAINING = Observed(DETACHED, workload(), (NEWCOMER,))


def carried(roll: PodRoll, *seen: Observed, seconds: float = 0) -> PodRoll:
    for look in seen:
        roll = roll.model_copy(update={"status": onward(roll, look, at(seconds)).status})
    return roll


def released(**spec) -> PodRoll:
    return carried(PodRoll.read(roll_json(spec=spec)), BEFORE, BEFORE)


def test_a_pod_is_detached_before_it_is_evicted():
    roll = released(drain=DETACH)
    step = onward(roll, REPLACED, at(5))
    assert (step.status.phase, step.acts) == (Phase.DRAINING, (Act.OWN, Act.DETACH))
    assert step.status.detachment == KNOWN, "recorded before the pod is touched"
    roll = carried(roll, REPLACED, seconds=5)
    assert onward(roll, replace(DRAINING, pod=RELEASED), at(6)).acts == (Act.OWN, Act.DETACH), (
        "done again if it was not"
    )
    waiting = onward(roll, DRAINING, at(14))
    assert (waiting.status.phase, waiting.acts) == (Phase.DRAINING, ())
    done = onward(roll, DRAINING, at(16))
    assert (done.status.phase, done.acts) == (Phase.EVICTING, (Act.OWN, Act.EVICT))
    assert done.status.message == "drained for 11s: evicting the old pod"


@pytest.mark.parametrize(
    ("seconds", "busy", "message"),
    [
        pytest.param(6, 0.0, None, id="idle too soon"),
        pytest.param(20, 2.0, None, id="busy"),
        pytest.param(20, None, None, id="not known"),
        pytest.param(20, 1.0, "idle after 15s: evicting the old pod", id="idle"),
        pytest.param(70, 3.0, "3 in flight after 65s, the most that it is given: evicting the old pod", id="late"),
        pytest.param(
            70,
            None,
            "how busy it is, is not known after 65s, the most that it is given: evicting the old pod",
            id="blind",
        ),
    ],
)
def test_a_busy_pod_is_waited_for_up_to_the_time_out(seconds, busy, message):
    roll = carried(released(drain=UNTIL), REPLACED, seconds=5)
    step = onward(roll, replace(DRAINING, in_flight=busy), at(seconds))
    assert step.status.phase is (Phase.EVICTING if message else Phase.DRAINING)
    if message:
        assert step.status.message == message


def test_a_pod_that_can_t_be_detached_is_evicted_and_says_why():
    skipped = replace(REPLACED, detachment=Detachment(skipped="no Service selects the pod"))
    step = onward(released(drain=DETACH), skipped, at(5))
    assert (step.status.phase, step.acts) == (Phase.EVICTING, (Act.OWN, Act.EVICT))
    assert step.status.message.endswith("(not detached: no Service selects the pod)")


def test_a_detached_pod_goes_back_into_service_at_once_when_its_replacement_fails():
    roll = carried(released(drain=DETACH), REPLACED, seconds=5)
    failed = replace(DRAINING, others=(replace(NEWCOMER, ready=False),))
    step = onward(roll, failed, at(7))
    assert (step.status.reason, step.acts) == (LOST, (Act.RESTORE,))
    roll = carried(roll, failed, seconds=7)
    assert onward(roll, failed, at(8)).acts == (Act.RESTORE,), "until it is seen to be back"
    back = onward(roll, replace(BEFORE, others=()), at(9))
    assert (back.status.phase, back.status.message) == (
        Phase.FAILED,
        "the replacement is not Ready any more: the pod is back",
    )


def test_a_pod_is_not_put_back_under_a_replica_set_that_wants_none():
    """Somebody rolled out another revision: adoption would delete the pod while nothing else is Ready."""
    roll = released()
    rollout = replace(workload(desired=0), mid_rollout="Deployment/leaky is at revision 2, the pod at 1")
    unready = Observed(RELEASED, rollout, (replace(NEWCOMER, ready=False),))
    late = onward(roll, unready, at(700))
    assert (late.status.phase, late.acts) == (Phase.REPLACING, ())
    assert "serves on" in late.status.message
    vetoed = PodRoll.read(roll_json(spec={"veto": True})).model_copy(update={"status": roll.status})
    assert onward(vetoed, unready, at(5)).acts == ()
    ready = onward(roll, Observed(RELEASED, rollout, (NEWCOMER,)), at(710))
    assert (ready.status.phase, ready.acts) == (Phase.EVICTING, (Act.OWN, Act.EVICT))


FINDING = {"container": "app", "usageBytes": 100, "limitBytes": 128}
NO_ROOM = Observed(RELEASED, workload(), (pod("leaky-new", created_at=at(2), ready=False, unschedulable=True),))
BROKEN = Observed(
    RELEASED, workload(), (pod("leaky-new", created_at=at(2), ready=False, stuck="app: CrashLoopBackOff"),)
)


@pytest.mark.parametrize(
    ("left_s", "seen", "reason"),
    [
        pytest.param(900, NO_ROOM, FALLING_BACK, id="no room and no time"),
        pytest.param(90_000, NO_ROOM, "ReplacementNotReady", id="no room, but time"),
        pytest.param(900, BROKEN, "ReplacementNotReady", id="a broken replacement"),
    ],
)
def test_a_doomed_pod_makes_room_for_its_replacement(left_s, seen, reason):
    roll = released(finding=FINDING | {"timeToLimitSeconds": left_s})
    step = onward(roll, seen, at(601))
    assert (step.status.reason, step.acts) == (reason, (Act.RESTORE,))


def test_falling_back_evicts_only_what_is_under_its_replica_set_again():
    roll = carried(released(finding=FINDING | {"timeToLimitSeconds": 900}), NO_ROOM, seconds=601)
    assert onward(roll, NO_ROOM, at(602)).acts == (Act.RESTORE,)
    orphan = Observed(pod(controller=None), workload())
    assert onward(roll, orphan, at(603)).acts == ()
    adopted = onward(roll, BEFORE, at(604))
    assert (adopted.status.phase, adopted.status.strategy, adopted.acts) == (Phase.EVICTING, "Evict", (Act.EVICT,))
    assert adopted.status.release is None


def test_an_exhausted_quota_is_want_of_room():
    full = Observed(RELEASED, workload(failure='pods "x" is forbidden: exceeded quota: one-pod'))
    roll = released(finding=FINDING | {"timeToLimitSeconds": 900})
    assert onward(roll, full, at(601)).status.reason == FALLING_BACK
    assert "exceeded quota" in onward(roll, full, at(10)).status.message


def test_a_protected_pod_is_not_rolled_by_hand_either():
    step = onward(PodRoll.read(roll_json()), replace(BEFORE, forbidden="the pod is protected"), NOW)
    assert (step.status.phase, step.status.reason, step.acts) == (Phase.ABORTED, "Refused", ())


@pytest.mark.parametrize(
    ("looks", "acts", "phase"),
    [
        pytest.param((), (), Phase.ANNOUNCED, id="not begun"),
        pytest.param((BEFORE,), (), Phase.ABORTED, id="announced"),
        pytest.param((BEFORE, BEFORE), (Act.RESTORE,), Phase.REPLACING, id="released"),
        pytest.param((BEFORE, BEFORE, REPLACED), (Act.RESTORE,), Phase.EVICTING, id="evicting"),
    ],
)
def test_what_is_retired_is_taken_back(looks, acts, phase):
    roll = carried(PodRoll.read(roll_json()), *looks)
    look = replace(BEFORE if len(looks) < 2 else REPLACED, retiring="memroll is being uninstalled")
    step = onward(roll, look, at(5))
    assert (step.acts, step.status.phase) == (acts, phase)
    if len(looks) > 1:
        assert step.status.reason == RETIRED


def test_a_restart_waits_for_the_workload_s_own_rollout():
    roll = carried(PodRoll.read(roll_json(spec={"strategy": "Restart"})), BEFORE)
    begun = onward(roll, BEFORE, NOW)
    assert (begun.status.phase, begun.acts, begun.status.restarted_at) == (Phase.REPLACING, (Act.RESTART,), NOW)
    roll = carried(roll, BEFORE)
    assert onward(roll, BEFORE, at(1)).acts == (Act.RESTART,), "a lost write is made again"
    busy = "Deployment/leaky has updated 0 of 1 pods"
    under_way = workload(restarted_at="2026-03-01T12:00:00Z", mid_rollout=busy, unsettled=busy)
    assert onward(roll, Observed(pod(), under_way), at(2)).acts == ()
    newer = workload(restarted_at="2026-03-01T13:00:00Z", unsettled="goes on")
    assert onward(roll, Observed(pod(), newer), at(2)).acts == (), "somebody else's later restart stands"
    done = workload(restarted_at="2026-03-01T12:00:00Z", mid_rollout="Deployment/leaky is at revision 2, the pod at 1")
    roll = carried(roll, Observed(None, done, (NEWCOMER,)), Observed(None, done, (NEWCOMER,)))
    assert roll.status.phase is Phase.SUCCEEDED
    late = carried(PodRoll.read(roll_json(spec={"strategy": "Restart"})), BEFORE, BEFORE)
    assert onward(late, Observed(pod(), under_way), at(601)).status.phase is Phase.FAILED


def test_a_workload_that_is_scaled_to_zero_takes_its_released_pod_along():
    """No budget is asked for it, as for no scale-down: an eviction could wait for ever."""
    none = Observed(RELEASED, workload(desired=0, replicas=0))
    step = onward(released(), none, at(5))
    assert (step.status.reason, step.acts) == ("ScaledToZero", (Act.RESTORE,))
    roll = carried(released(), none, seconds=5)
    gone = Observed(None, workload(desired=0, replicas=0))
    assert carried(roll, gone, gone, seconds=7).status.phase is Phase.SUCCEEDED


def test_notes_that_somebody_left_on_a_pod_that_he_put_back_are_taken_away():
    roll = carried(released(), REPLACED, seconds=5)
    by_hand = Observed(pod(annotations={"memroll.dev/roll": "leaky-abc-1"}), workload())
    late = carried(roll, by_hand, seconds=700)
    assert late.status.reason == "ReplacementNotReady"
    assert onward(late, by_hand, at(701)).acts == (Act.RESTORE,)
    assert onward(late, BEFORE, at(702)).status.phase is Phase.FAILED
