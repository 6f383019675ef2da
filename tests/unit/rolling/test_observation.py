"""Available pods: a new one counts when it has been Ready for `minReadySeconds` and `roll.settle`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.pod_roll import Phase, PodRoll
from memroll.model.pods import RELEASED_HASH
from memroll.rolling.observation import Observation
from tests.builders import advance, after_steps, at, pod, roll_json, workload

RELEASED = pod(labels={"app": "leaky", "pod-template-hash": RELEASED_HASH}, controller=None)
REPLACEMENT = pod("leaky-new", created_at=at(2), ready=True, ready_at=at(10))
BEFORE = Observation(pod(), workload())


@pytest.mark.parametrize(
    ("min_ready_s", "settle_s", "seconds", "phase"),
    [
        pytest.param(0, 0, 10, Phase.EVICTING, id="Ready is enough by default"),
        pytest.param(30, 0, 39, Phase.REPLACING, id="too young for minReadySeconds"),
        pytest.param(30, 0, 40, Phase.EVICTING, id="old enough for minReadySeconds"),
        pytest.param(30, 60, 99, Phase.REPLACING, id="too young for both"),
        pytest.param(30, 60, 100, Phase.EVICTING, id="old enough for both"),
        pytest.param(0, 60, 69, Phase.REPLACING, id="too young for settle"),
    ],
)
def test_the_old_pod_leaves_when_its_replacement_is_available(min_ready_s, settle_s, seconds, phase):
    roll = after_steps(PodRoll.read(roll_json(spec={"settleSeconds": settle_s})), BEFORE, BEFORE)
    replaced = Observation(RELEASED, workload(min_ready_s=min_ready_s), (REPLACEMENT,))
    assert advance(roll, replaced, at(seconds)).status.phase is phase


def test_the_message_has_the_time_for_which_a_replacement_must_be_ready():
    roll = after_steps(PodRoll.read(roll_json()), BEFORE, BEFORE)
    replaced = Observation(RELEASED, workload(min_ready_s=30), (REPLACEMENT,))
    message = advance(roll, replaced, at(22)).status.message
    assert message == "waiting: replacement leaky-new must be Ready for 30s, and is for 12s"


def test_the_time_to_settle_extends_the_replacement_timeout():
    """A workload with a minReadySeconds of ten minutes could never be surged otherwise."""
    late = pod("leaky-new", created_at=at(2), ready=True, ready_at=at(590))
    roll = after_steps(PodRoll.read(roll_json()), BEFORE, BEFORE)
    replaced = Observation(RELEASED, workload(min_ready_s=600), (late,))
    assert advance(roll, replaced, at(1189)).status.reason == "Releasing"
    assert advance(roll, replaced, at(1190)).status.phase is Phase.EVICTING


def with_peers(*peers, seconds: float = 71):
    """Return the step of a roll whose replacement has been Ready for its minReadySeconds of a minute at 70 s."""
    three = workload(replicas=3, controller_replicas=3, min_ready_s=60)
    before = Observation(pod(), three, (PEER, OTHER))
    roll = after_steps(PodRoll.read(roll_json()), before, before)
    return advance(roll, Observation(RELEASED, three, (*peers, REPLACEMENT)), at(seconds)).status


PEER, OTHER = pod("leaky-peer", created_at=at(-9000)), pod("leaky-other", created_at=at(-9000))


@pytest.mark.parametrize(
    ("peer", "phase"),
    [
        pytest.param(replace(PEER, ready_at=at(70)), Phase.EVICTING, id="a probe has failed once"),
        pytest.param(replace(PEER, ready=False), Phase.REPLACING, id="not Ready now"),
        pytest.param(replace(PEER, created_at=at(1), ready_at=at(70)), Phase.REPLACING, id="new as well"),
        pytest.param(replace(PEER, created_at=at(1), ready_at=at(11)), Phase.EVICTING, id="new and settled"),
    ],
)
def test_only_new_pods_must_settle(peer, phase):
    """Ready was enough for the older ones before the roll: in a large workload one of them always flaps."""
    assert with_peers(peer, OTHER).phase is phase


def test_a_roll_that_waits_for_another_pod_does_not_blame_its_replacement():
    """Between the decision to evict the old pod and its eviction, a peer becomes not Ready."""
    three = workload(replicas=3, controller_replicas=3)
    before = Observation(pod(), three, (PEER, OTHER))
    replaced = Observation(RELEASED, three, (PEER, OTHER, REPLACEMENT))
    roll = after_steps(after_steps(PodRoll.read(roll_json()), before, before), replaced, seconds=11)
    short = replace(replaced, other_pods=(replace(PEER, ready=False), OTHER, REPLACEMENT))
    waiting = advance(roll, short, at(12))
    assert (waiting.status.phase, waiting.actions) == (Phase.EVICTING, ())
    assert waiting.status.message == "more pods must be Ready: the old pod stays"
