"""When evidence is captured, for how long, and that it never stands in a roll's way."""

from __future__ import annotations

import pytest

from memroll.api.evidence import Evidence
from memroll.api.pod_roll import Phase, PodRoll
from memroll.evidence.time_budget import left_s
from memroll.rolling.observation import Act, Observed
from memroll.rolling.state_machine import next_step
from tests.builders import NOW, at, pod, roll_json, workload

BEFORE = Observed(pod(), workload())
ROLL_TAKES_S = 15
"""By a guess: the pod was Ready after 5 s."""


def announced(limit_s: int | None = None, **spec) -> PodRoll:
    if limit_s is not None:
        spec["finding"] = {"container": "app", "usageBytes": 1, "timeToLimitSeconds": limit_s}
    return after(PodRoll.read(roll_json(spec=spec)))


def after(roll: PodRoll, seen: Observed = BEFORE, seconds: float = 0) -> PodRoll:
    return roll.model_copy(update={"status": next_step(roll, seen, at(seconds)).status})


def test_evidence_is_captured_before_anything_is_touched():
    step = next_step(announced(), BEFORE, at(1))
    assert (step.status.phase, step.acts) == (Phase.CAPTURING_EVIDENCE, (Act.CAPTURE,))
    assert step.status.times.capturing_evidence == at(1)


@pytest.mark.parametrize(
    ("strategy", "phase", "act"),
    [
        ("Surge", Phase.REPLACING, Act.RELEASE),
        ("Evict", Phase.EVICTING, Act.EVICT),
        ("Restart", Phase.REPLACING, Act.RESTART),
    ],
)
def test_the_first_change_follows_what_was_captured(strategy, phase, act):
    roll = after(announced(strategy=strategy))
    found = Evidence(captured_at=NOW)
    step = next_step(
        roll.model_copy(update={"status": roll.status.model_copy(update={"evidence": found})}), BEFORE, NOW
    )
    assert (step.status.phase, step.acts, step.status.evidence) == (phase, (act,), found)


def test_a_process_that_died_in_it_captures_again_in_the_time_that_is_left():
    roll = after(announced())
    assert next_step(roll, BEFORE, at(4)).acts == (Act.CAPTURE,)
    assert left_s(roll, pod(), at(4)) == 6
    step = next_step(roll, BEFORE, at(9.5))
    assert (step.status.phase, step.acts) == (Phase.REPLACING, (Act.RELEASE,))
    assert step.status.evidence is not None
    assert step.status.evidence.missing[0].reason == "the capture was cut short and had no time left"


@pytest.mark.parametrize(
    ("limit_s", "expected_s"),
    [
        pytest.param(None, 10.0, id="by hand: all of its time"),
        pytest.param(3600, 10.0, id="a limit that is far away"),
        pytest.param(ROLL_TAKES_S + 4, 4.0, id="a limit that is near: less"),
    ],
)
def test_there_is_as_much_time_as_the_limit_leaves(limit_s, expected_s):
    assert left_s(announced(limit_s), pod(), NOW) == expected_s


def test_a_pod_at_its_limit_is_rolled_at_once():
    step = next_step(announced(ROLL_TAKES_S), BEFORE, NOW)
    assert (step.status.phase, step.acts) == (Phase.REPLACING, (Act.RELEASE,))
    assert step.status.evidence is not None
    (missing,) = step.status.evidence.missing
    assert (missing.part, missing.reason) == ("all", "skipped: the pod's limit is near, and a roll may take 15s")


def test_a_clock_that_was_set_back_gives_no_more_time():
    assert left_s(after(announced(), seconds=100), pod(), NOW) == 10


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        pytest.param(Observed(None, workload()), "PodGone", id="the pod leaves"),
        pytest.param(Observed(pod(), workload(mid_rollout="updating")), "WorkloadChanging", id="a rollout begins"),
        pytest.param(
            Observed(pod(), workload(), (), "policy leaky is suspended"), "Withdrawn", id="not wanted any more"
        ),
        pytest.param(Observed(pod(), workload(), retiring="memroll is being uninstalled"), "Retired", id="uninstalled"),
    ],
)
def test_what_happens_meanwhile_ends_the_roll_with_nothing_changed(look, reason):
    step = next_step(after(announced()), look, at(2))
    assert (step.status.phase, step.status.reason, step.acts) == (Phase.ABORTED, reason, ())


def test_a_veto_meanwhile_ends_it_as_well():
    roll = after(announced())
    vetoed = roll.model_copy(update={"spec": roll.spec.model_copy(update={"veto": True})})
    assert next_step(vetoed, BEFORE, at(2)).status.phase is Phase.ABORTED
