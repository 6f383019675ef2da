"""Seconds until the next step: by phase, by the distance to the limit, and by the next deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from memroll.api.base import rfc3339
from memroll.rolling.observation import Observation, StepInput
from memroll.rolling.step_wait import step_wait_s
from tests.builders import NOW, pod, roll, workload

TRIGGER = {"container": "app", "usageBytes": 1, "limitBytes": 2, "timeToLimitSeconds": 100_000}


def step(
    phase: str, age_s: float = 0.0, *, field: str = "", found: Observation | None = None, **spec: Any
) -> StepInput:
    """Return a step of a roll that has been in its phase for that time."""
    began = NOW - timedelta(seconds=age_s)
    field = field or phase[0].lower() + phase[1:]
    record = roll(phase, created=NOW - timedelta(seconds=age_s), spec=spec, times={field: rfc3339(began)})
    return StepInput(record, found or Observation(pod(), workload()), NOW)


@pytest.mark.parametrize(
    ("phase", "age_s", "is_watched", "wait_s"),
    [
        ("Announced", 0, True, 1),
        ("Replacing", 0, True, 10),
        ("Replacing", 10, True, 30),
        ("Replacing", 0, False, 1),
        ("Replacing", 10, False, 5),
        ("Evicting", 0, True, 1),
        ("Evicting", 8, True, 4),
        ("Evicting", 300, True, 15),
        ("Evicting", 300, False, 15),
    ],
)
def test_the_phase_decides(phase, age_s, is_watched, wait_s):
    assert step_wait_s(step(phase, age_s), is_watched=is_watched) == wait_s


def test_near_the_limit_the_periods_are_short() -> None:
    near = TRIGGER | {"timeToLimitSeconds": 150}
    assert step_wait_s(step("Replacing", 60, trigger=near), is_watched=True) == 5
    assert step_wait_s(step("Evicting", 60, trigger=near), is_watched=True) == 5


def test_a_deadline_is_not_missed() -> None:
    assert step_wait_s(step("Replacing", 590, replacementTimeoutSeconds=600), is_watched=True) == pytest.approx(10.1)


def test_a_deadline_that_has_just_been_missed_is_not_left_to_the_period() -> None:
    """After exactly that time it has not passed yet."""
    assert step_wait_s(step("Replacing", 600, replacementTimeoutSeconds=600), is_watched=True) == 1


def test_the_step_is_made_when_a_new_pod_has_settled() -> None:
    settling = pod("new", created_at=NOW, ready=True, ready_at=NOW - timedelta(seconds=3))
    found = Observation(pod(), replace(workload(), min_ready_s=10.0), (settling,))
    assert step_wait_s(step("Replacing", 20, found=found), is_watched=True) == pytest.approx(7.1)


def test_a_drain_ends_in_time_and_its_gauge_is_read_more_often() -> None:
    timed = {"mode": "Detach", "minDuration": "60s", "timeout": "300s"}
    assert step_wait_s(step("Draining", 48, drain=timed), is_watched=True) == pytest.approx(12.1)
    until = timed | {"until": {"metric": "in_flight", "maxValue": 0}}
    assert step_wait_s(step("Draining", 20, drain=until), is_watched=True) == 10


def test_a_rollback_makes_a_step_each_second_at_first() -> None:
    assert step_wait_s(step("Replacing", 2, field="rollingBack"), is_watched=True) == 1
    assert step_wait_s(step("Replacing", 20, field="rollingBack"), is_watched=True) == 5
