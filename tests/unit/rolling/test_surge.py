"""Strategy Surge: waiting for the replacement, draining, and the fallback for a lack of room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.pod_roll import Detachment, Phase, PodRoll
from memroll.model.pods import DETACHED_VALUE, RELEASED_HASH
from memroll.rolling.actions import ADD_OWNER, DETACH_POD, EVICT_POD, RESTORE_POD
from memroll.rolling.eviction_response import EvictionResponse, EvictionResult
from memroll.rolling.observation import Observation
from memroll.rolling.reasons import BLOCKED_BY_PDB, DRAIN_METRIC_MISSING, FALLING_BACK, REPLACEMENT_LOST
from tests.builders import TRIGGER, advance, after_steps, at, pod, roll_json, workload

DETACH = {"mode": "Detach", "minDuration": "10s", "timeout": "60s"}
UNTIL = DETACH | {"until": {"metric": "http_inflight_requests", "maxValue": 1}}
DETACHMENT = Detachment(labels={"app": "leaky"})
REPLACEMENT = pod("leaky-new", created_at=at(2), ready=True)
RELEASED = pod(labels={"app": "leaky", "pod-template-hash": RELEASED_HASH}, controller=None)
BEFORE = Observation(pod(), workload())
DETACHED = replace(RELEASED, labels={"app": DETACHED_VALUE, "pod-template-hash": RELEASED_HASH})
REPLACED = Observation(RELEASED, workload(), (REPLACEMENT,), detachment=DETACHMENT)
DRAINING = Observation(DETACHED, workload(), (REPLACEMENT,))
NO_ROOM = Observation(RELEASED, workload(), (pod("leaky-new", created_at=at(2), ready=False, unschedulable=True),))
BROKEN = Observation(
    RELEASED, workload(), (pod("leaky-new", created_at=at(2), ready=False, not_ready_reason="app: CrashLoopBackOff"),)
)


def released(**spec) -> PodRoll:
    return after_steps(PodRoll.read(roll_json(spec=spec)), BEFORE, BEFORE)


def test_a_pod_is_detached_before_it_is_evicted():
    roll = released(drain=DETACH)
    transition = advance(roll, REPLACED, at(5))
    assert (transition.status.phase, transition.actions) == (Phase.DRAINING, (ADD_OWNER, DETACH_POD))
    assert transition.status.detachment == DETACHMENT, "recorded before the pod is changed"
    roll = after_steps(roll, REPLACED, seconds=5)
    assert advance(roll, replace(DRAINING, pod=RELEASED), at(6)).actions == (ADD_OWNER, DETACH_POD), (
        "repeated until it is done"
    )
    waiting = advance(roll, DRAINING, at(14))
    assert (waiting.status.phase, waiting.actions) == (Phase.DRAINING, ())
    done = advance(roll, DRAINING, at(16))
    assert (done.status.phase, done.actions) == (Phase.EVICTING, (ADD_OWNER, EVICT_POD))
    assert done.status.message == "drained for 11s: evicting the old pod"


@pytest.mark.parametrize(
    ("seconds", "busy", "message"),
    [
        pytest.param(6, 0.0, None, id="idle too soon"),
        pytest.param(20, 2.0, None, id="busy"),
        pytest.param(20, None, None, id="unknown"),
        pytest.param(20, 1.0, "idle after 15s: evicting the old pod", id="idle"),
        pytest.param(70, 3.0, "3 in flight after 65s, the drain timeout: evicting the old pod", id="busy for too long"),
        pytest.param(
            70,
            None,
            "number in flight unknown after 65s, the drain timeout: evicting the old pod",
            id="unknown for too long",
        ),
    ],
)
def test_a_busy_pod_drains_until_the_drain_timeout(seconds, busy, message):
    roll = after_steps(released(drain=UNTIL), REPLACED, seconds=5)
    transition = advance(roll, replace(DRAINING, in_flight=busy), at(seconds))
    assert transition.status.phase is (Phase.EVICTING if message else Phase.DRAINING)
    if message:
        assert transition.status.message == message


LONG = {"mode": "Detach", "timeout": "10m", "until": {"metric": "in_flight"}}


@pytest.mark.parametrize(
    ("seconds", "observed", "reason", "part"),
    [
        pytest.param(124, {}, "Draining", "draining, number in flight unknown", id="two scrapes may be late"),
        pytest.param(125, {}, DRAIN_METRIC_MISSING, "no sample of in_flight since the pod was detached", id="missing"),
        pytest.param(125, {}, DRAIN_METRIC_MISSING, "that is not selected by app;", id="with the labels"),
        pytest.param(125, {"in_flight": 3.0}, "Draining", "draining, 3 in flight", id="busy"),
        pytest.param(
            125, {"gauge_error": "QueryTimeout"}, "Draining", "in flight unknown (QueryTimeout)", id="an error"
        ),
    ],
)
def test_a_gauge_that_ends_with_the_detach_is_reported(seconds, observed, reason, part):
    roll = after_steps(released(drain=LONG), REPLACED, seconds=5)
    transition = advance(roll, replace(DRAINING, **observed), at(seconds))
    assert (transition.status.phase, transition.status.reason) == (Phase.DRAINING, reason)
    assert part in transition.status.message


def test_a_missing_gauge_is_waited_for_until_the_drain_timeout_with_one_message():
    roll = after_steps(released(drain=LONG), REPLACED, seconds=5)
    first = after_steps(roll, DRAINING, seconds=130)
    assert advance(first, DRAINING, at(500)).status == first.status, "no write to the API server every second"
    assert advance(first, replace(DRAINING, in_flight=1.0), at(500)).status.reason == "Draining"
    assert advance(first, DRAINING, at(606)).status.phase is Phase.EVICTING


def test_a_pod_that_can_t_be_detached_is_evicted_with_the_reason():
    skipped = replace(REPLACED, detachment=Detachment(skipped="no Service selects the pod"))
    transition = advance(released(drain=DETACH), skipped, at(5))
    assert (transition.status.phase, transition.actions) == (Phase.EVICTING, (ADD_OWNER, EVICT_POD))
    assert transition.status.message.endswith("(not detached: no Service selects the pod)")


def refused(result: EvictionResult, message: str = "the budget allows none now") -> Observation:
    return replace(REPLACED, detachment=None, refused_detach=EvictionResponse(result, message))


BLOCKED, THROTTLED = refused(EvictionResult.BLOCKED), refused(EvictionResult.THROTTLED)
UNANSWERED = refused(EvictionResult.UNKNOWN, "status 503")
WAITING = "replacement leaky-new is Ready, but the old pod may not be detached yet: "


def test_a_pod_is_detached_as_soon_as_its_budget_permits_the_eviction():
    roll = released(drain=DETACH)
    waiting = advance(roll, BLOCKED, at(5))
    assert (waiting.status.phase, waiting.actions) == (Phase.REPLACING, ())
    assert waiting.status.message == WAITING + "the budget allows none now"
    assert waiting.status.replacement is not None
    roll = after_steps(roll, BLOCKED, seconds=5)
    late = advance(roll, REPLACED, at(604))
    assert (late.status.phase, late.actions) == (Phase.DRAINING, (ADD_OWNER, DETACH_POD))


@pytest.mark.parametrize(
    ("observation", "seconds", "reason"),
    [
        pytest.param(BLOCKED, 15, "Releasing", id="blocked for 10 s"),
        pytest.param(BLOCKED, 16, BLOCKED_BY_PDB, id="blocked for longer"),
        pytest.param(THROTTLED, 16, "Throttled", id="too many requests"),
        pytest.param(UNANSWERED, 16, "Releasing", id="no answer"),
    ],
)
def test_a_refused_detach_has_the_reason_of_a_refused_eviction(observation, seconds, reason):
    roll = after_steps(released(drain=DETACH), observation, seconds=5)
    assert roll.status.reason != BLOCKED_BY_PDB, "a budget counts a new replacement with a short delay"
    assert advance(roll, observation, at(seconds)).status.reason == reason


def test_a_replacement_that_fails_ends_the_reason_of_the_refusal():
    roll = after_steps(released(drain=DETACH), BLOCKED, seconds=5)
    roll = after_steps(roll, BLOCKED, seconds=16)
    unready = replace(BLOCKED, other_pods=(replace(REPLACEMENT, ready=False),), refused_detach=None)
    assert advance(roll, unready, at(17)).status.reason == "Releasing"


@pytest.mark.parametrize("observation", [BLOCKED, THROTTLED], ids=["blocked", "throttled"])
def test_a_refused_detach_is_rolled_back_after_one_timeout(observation):
    """The time counts from the first refusal: the replacement may have needed most of its own timeout."""
    roll = after_steps(released(drain=DETACH), observation, seconds=500)
    assert advance(roll, observation, at(1100)).actions == ()
    ended = advance(roll, observation, at(1101))
    assert (ended.status.reason, RESTORE_POD in ended.actions) == ("EvictionTimedOut", True)
    assert ended.status.message == "not evicted in time (the budget allows none now): the pod stays"
    done = after_steps(after_steps(roll, observation, seconds=1101), BEFORE, seconds=1102).status
    assert (done.phase, done.times.evicting, done.detachment) == (Phase.FAILED, None, None)


def test_a_refused_detach_of_a_pod_that_no_replica_set_needs_ends_after_two_timeouts():
    unwanted = replace(BLOCKED, workload=workload(controller_replicas=0, rollout_in_progress="revision 2"))
    roll = after_steps(released(drain=DETACH), unwanted, seconds=5)
    assert advance(roll, unwanted, at(1205)).status.phase is Phase.REPLACING
    ended = advance(roll, unwanted, at(1206)).status
    assert (ended.phase, ended.reason) == (Phase.FAILED, "StillReleased")


def test_a_pod_that_can_never_be_evicted_is_restored_and_not_detached():
    """Somebody has created a second PodDisruptionBudget since the release."""
    never = refused(EvictionResult.MISCONFIGURED, "two PodDisruptionBudgets")
    roll = after_steps(released(drain=DETACH), never, seconds=5)
    assert (roll.status.reason, roll.status.detachment) == ("EvictionRefused", None)
    assert RESTORE_POD in advance(roll, never, at(6)).actions
    ended = advance(roll, BEFORE, at(7)).status
    assert (ended.phase, ended.message) == (Phase.FAILED, "two PodDisruptionBudgets")


def test_a_pod_is_evicted_with_all_its_labels_when_dry_runs_have_no_answer():
    roll = after_steps(released(drain=DETACH), UNANSWERED, seconds=5)
    waiting = advance(roll, UNANSWERED, at(605))
    assert (waiting.status.message, waiting.actions) == (WAITING + "status 503", ())
    late = advance(roll, UNANSWERED, at(606))
    assert (late.status.phase, late.actions) == (Phase.EVICTING, (ADD_OWNER, EVICT_POD))
    assert late.status.detachment == Detachment(skipped="a dry run of its eviction had no answer in time: status 503")
    long = advance(roll, refused(EvictionResult.UNKNOWN, "x" * 2000), at(606)).status
    assert len(long.detachment.skipped) == 1024, "the bound in the CRD"


def test_a_pod_whose_workload_is_gone_is_evicted_without_a_drain_for_that_reason():
    gone = Observation(RELEASED, None)
    assert advance(released(drain=DETACH), gone, at(5)).status.detachment == Detachment(skipped="the workload is gone")
    assert advance(released(), gone, at(5)).status.detachment is None


def test_a_detached_pod_is_restored_at_once_when_its_replacement_fails():
    roll = after_steps(released(drain=DETACH), REPLACED, seconds=5)
    failed = replace(DRAINING, other_pods=(replace(REPLACEMENT, ready=False),))
    transition = advance(roll, failed, at(7))
    assert (transition.status.reason, transition.actions) == (REPLACEMENT_LOST, (RESTORE_POD,))
    roll = after_steps(roll, failed, seconds=7)
    assert advance(roll, failed, at(8)).actions == (RESTORE_POD,), "until the pod is restored"
    restored = advance(roll, replace(BEFORE, other_pods=()), at(9))
    assert (restored.status.phase, restored.status.message) == (
        Phase.FAILED,
        "the replacement is no longer Ready: the pod is restored",
    )


PEER = pod("leaky-peer", created_at=at(-9000))
NEXT = pod("leaky-next", created_at=at(100))
TWO = workload(replicas=2, controller_replicas=2, min_ready_s=60)
DRAINING_OF_TWO = Observation(DETACHED, TWO, (PEER, replace(REPLACEMENT, ready_at=at(4))))


def draining_of_two() -> PodRoll:
    """Return a roll whose pod is detached since 65 s; the workload has a minReadySeconds of a minute."""
    before = Observation(pod(), TWO, (PEER,))
    roll = after_steps(PodRoll.read(roll_json(spec={"drain": LONG})), before, before)
    return after_steps(roll, replace(DRAINING_OF_TWO, pod=RELEASED, detachment=DETACHMENT), seconds=65)


@pytest.mark.parametrize(
    "peer",
    [replace(PEER, ready_at=at(199)), replace(PEER, ready=False)],
    ids=["Ready again", "not Ready"],
)
def test_a_peer_that_is_not_ready_is_no_lost_replacement(peer):
    """It would not be Ready, either, without the roll: to restore the pod would delete a Ready replacement."""
    flapping = replace(DRAINING_OF_TWO, other_pods=(peer, *DRAINING_OF_TWO.other_pods[1:]), in_flight=3.0)
    waiting = advance(draining_of_two(), flapping, at(200))
    assert (waiting.status.phase, waiting.status.reason, waiting.actions) == (Phase.DRAINING, "Draining", ())
    idle = replace(flapping, in_flight=0.0)
    roll = after_steps(draining_of_two(), idle, seconds=200)
    assert advance(roll, idle, at(201)).actions == (ADD_OWNER, EVICT_POD), "a detached pod gets no requests"


@pytest.mark.parametrize(
    ("others", "lost"),
    [
        pytest.param((PEER, replace(REPLACEMENT, ready=False)), "the replacement is no longer Ready", id="failed"),
        pytest.param((PEER, replace(REPLACEMENT, deleting=True)), "the replacement is gone", id="terminating"),
        pytest.param((PEER, replace(NEXT, ready_at=at(180))), "the replacement is gone", id="one that must settle"),
        pytest.param((PEER, replace(NEXT, ready_at=at(110))), "", id="enough are Ready"),
    ],
)
def test_the_recorded_replacement_is_lost_unless_others_take_its_place(others, lost):
    transition = advance(draining_of_two(), replace(DRAINING_OF_TWO, other_pods=others, in_flight=3.0), at(200))
    if lost:
        assert (transition.status.reason, RESTORE_POD in transition.actions) == (REPLACEMENT_LOST, True)
        assert transition.status.message == f"{lost}: restoring the pod"
    else:
        assert (transition.status.phase, transition.actions) == (Phase.DRAINING, ())


def test_a_recorded_detachment_is_performed_only_while_the_pod_is_replaced():
    """A process was killed before it detached the pod, and a peer is not Ready meanwhile: the pod still serves."""
    unready, ready = replace(PEER, ready=False), DRAINING_OF_TWO.other_pods[1]
    short = replace(DRAINING_OF_TWO, pod=RELEASED, other_pods=(unready, ready))
    waiting = advance(draining_of_two(), short, at(70))
    assert (waiting.status.message, waiting.actions) == ("not detached yet: more pods must be Ready", ())
    again = replace(DRAINING_OF_TWO, pod=RELEASED)
    assert advance(draining_of_two(), again, at(71)).actions == (ADD_OWNER, DETACH_POD)
    unsettled = replace(short, other_pods=(unready, replace(ready, ready_at=at(700))))
    late = advance(draining_of_two(), unsettled, at(730))
    assert (late.status.reason, RESTORE_POD in late.actions) == ("ReplacementNotReady", True)


@pytest.mark.parametrize(
    ("limit_s", "observation", "reason"),
    [
        pytest.param(900, NO_ROOM, FALLING_BACK, id="no room and no time"),
        pytest.param(90_000, NO_ROOM, "ReplacementNotReady", id="no room, but time"),
        pytest.param(900, BROKEN, "ReplacementNotReady", id="a broken replacement"),
    ],
)
def test_a_pod_near_its_limit_makes_room_for_its_replacement(limit_s, observation, reason):
    roll = released(trigger=TRIGGER | {"timeToLimitSeconds": limit_s})
    transition = advance(roll, observation, at(601))
    assert (transition.status.reason, transition.actions) == (reason, (RESTORE_POD,))


def test_an_exhausted_quota_counts_as_a_lack_of_room():
    full = Observation(RELEASED, workload(replica_failure='pods "x" is forbidden: exceeded quota: one-pod'))
    roll = released(trigger=TRIGGER | {"timeToLimitSeconds": 900})
    assert advance(roll, full, at(601)).status.reason == FALLING_BACK
    assert "exceeded quota" in advance(roll, full, at(10)).status.message
