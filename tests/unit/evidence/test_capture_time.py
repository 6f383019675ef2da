"""Time for the capture: it comes before the first change, and never delays or stops a roll."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.api.evidence import Evidence
from memroll.api.pod_roll import Phase, PodRoll
from memroll.evidence.capture_time import capture_time_left_s
from memroll.rolling.actions import CAPTURE_EVIDENCE, EVICT_POD, RELEASE_POD
from memroll.rolling.observation import Observation, StepInput, Transition
from memroll.rolling.restart import RESTART_WORKLOAD
from memroll.rolling.state_machine import next_transition
from tests.builders import NOW, at, pod, roll_json, workload

if TYPE_CHECKING:
    from datetime import datetime

BEFORE = Observation(pod(), workload())
ROLL_TAKES_S = 15
"""Estimated duration of a roll in seconds: the pod was Ready after 5 s."""


def next_step(roll: PodRoll, observation: Observation, now: datetime) -> Transition:
    return next_transition(StepInput(roll, observation, now))


def announced(limit_s: int | None = None, **spec) -> PodRoll:
    if limit_s is not None:
        spec["trigger"] = {"container": "app", "usageBytes": 1, "timeToLimitSeconds": limit_s}
    return after(PodRoll.read(roll_json(spec=spec)))


def after(roll: PodRoll, seen: Observation = BEFORE, seconds: float = 0) -> PodRoll:
    return roll.model_copy(update={"status": next_step(roll, seen, at(seconds)).status})


def test_evidence_is_captured_before_the_first_change():
    step = next_step(announced(), BEFORE, at(1))
    assert (step.status.phase, step.actions) == (Phase.CAPTURING_EVIDENCE, (CAPTURE_EVIDENCE,))
    assert step.status.times.capturing_evidence == at(1)


@pytest.mark.parametrize(
    ("strategy", "phase", "action"),
    [
        ("Surge", Phase.REPLACING, RELEASE_POD),
        ("Evict", Phase.EVICTING, EVICT_POD),
        ("Restart", Phase.REPLACING, RESTART_WORKLOAD),
    ],
)
def test_the_first_change_follows_the_capture(strategy, phase, action):
    roll = after(announced(strategy=strategy))
    found = Evidence(captured_at=NOW)
    step = next_step(
        roll.model_copy(update={"status": roll.status.model_copy(update={"evidence": found})}), BEFORE, NOW
    )
    assert (step.status.phase, step.actions, step.status.evidence) == (phase, (action,), found)


def test_after_a_crash_the_capture_is_repeated_in_the_remaining_time():
    roll = after(announced())
    assert next_step(roll, BEFORE, at(4)).actions == (CAPTURE_EVIDENCE,)
    assert capture_time_left_s(roll, pod(), at(4)) == 6
    step = next_step(roll, BEFORE, at(9.5))
    assert (step.status.phase, step.actions) == (Phase.REPLACING, (RELEASE_POD,))
    assert step.status.evidence is not None
    assert step.status.evidence.missing[0].reason == "the capture was interrupted and had no time left"


@pytest.mark.parametrize(
    ("limit_s", "expected_s"),
    [
        pytest.param(None, 10.0, id="requested by a person: the whole timeout"),
        pytest.param(3600, 10.0, id="a distant limit: the whole timeout"),
        pytest.param(ROLL_TAKES_S + 4, 4.0, id="a near limit: less"),
    ],
)
def test_the_time_is_bounded_by_the_limit(limit_s, expected_s):
    assert capture_time_left_s(announced(limit_s), pod(), NOW) == expected_s


def test_a_pod_at_its_limit_is_rolled_without_a_capture():
    step = next_step(announced(ROLL_TAKES_S), BEFORE, NOW)
    assert (step.status.phase, step.actions) == (Phase.REPLACING, (RELEASE_POD,))
    assert step.status.evidence is not None
    (missing,) = step.status.evidence.missing
    assert (missing.section, missing.reason) == ("all", "skipped: the pod's limit is near, and a roll may take 15s")


def test_a_clock_that_was_set_back_gives_no_additional_time():
    assert capture_time_left_s(after(announced(), seconds=100), pod(), NOW) == 10


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        pytest.param(Observation(None, workload()), "PodGone", id="the pod leaves"),
        pytest.param(
            Observation(pod(), workload(rollout_in_progress="updating")), "WorkloadChanging", id="a rollout begins"
        ),
        pytest.param(
            Observation(pod(), workload(), (), "policy leaky is suspended"), "Withdrawn", id="not wanted any more"
        ),
        pytest.param(
            Observation(pod(), workload(), uninstalling="memroll is being uninstalled"), "Uninstalled", id="uninstalled"
        ),
    ],
)
def test_a_change_during_the_capture_ends_the_roll_without_changes(look, reason):
    step = next_step(after(announced()), look, at(2))
    assert (step.status.phase, step.status.reason, step.actions) == (Phase.ABORTED, reason, ())


def test_a_cancellation_meanwhile_ends_it_as_well():
    roll = after(announced())
    canceled = roll.model_copy(update={"spec": roll.spec.model_copy(update={"cancel": True})})
    assert next_step(canceled, BEFORE, at(2)).status.phase is Phase.ABORTED
