"""Durations of rolls: measured ones are capped, and the start of a pod is the shortest of its workload."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from memroll.api.roll_spec import DrainSpec
from memroll.model.pods import ObjectRef
from memroll.model.roll_duration import (
    ASSUMED_READY_S,
    ROLL_OVERHEAD_S,
    RollDurations,
    StartTime,
    StartTimes,
    longest_recent_s,
    start_time,
)
from tests.builders import at, container, pod, records, roll, stamp

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRoll

DAYS_S = 3 * 86_400
DETACH = {"mode": "Detach", "minDuration": "30s", "timeout": "5m"}


def took(seconds: float, **spec: Any) -> PodRoll:
    return roll("Succeeded", spec=spec, times={"announced": stamp(0), "finished": stamp(seconds)})


@pytest.mark.parametrize(
    ("ended", "expected_s"),
    [
        pytest.param(took(90), 90, id="an ordinary roll"),
        pytest.param(took(DAYS_S), 1200, id="one that hung for days: twice the default timeout"),
        pytest.param(took(DAYS_S, replacementTimeoutSeconds=60), 120, id="twice its own timeout"),
        pytest.param(
            took(DAYS_S, replacementTimeoutSeconds=60, drain=DETACH), 150, id="and its drain of a fixed duration"
        ),
        pytest.param(
            took(DAYS_S, replacementTimeoutSeconds=60, drain=DETACH | {"until": {"metric": "inflight"}}), 420,
            id="and the longest drain until it is idle",
        ),
    ],
)  # fmt: skip
def test_a_roll_counts_at_most_two_timeouts_and_its_drain(ended: PodRoll, expected_s: float) -> None:
    assert longest_recent_s(records(ended)) == expected_s


def started(name: str, seconds: float | None, workload: str = "leaky") -> Any:
    ready_at = None if seconds is None else at(seconds)
    controller = ObjectRef("apps/v1", "ReplicaSet", f"{workload}-5d", workload)
    return pod(name, created_at=at(0), ready=ready_at is not None, ready_at=ready_at, controller=controller)


def known_start_s(*seconds: float | None) -> float | None:
    pods = [started(f"leaky-{i}", s) for i, s in enumerate(seconds)]
    return RollDurations.measure("leaky", DrainSpec(), (), pods).known_start_s(pods[0])


@pytest.mark.parametrize(
    ("seconds", "expected_s"),
    [
        pytest.param([900.0], 900.0, id="one pod"),
        pytest.param([40_000.0, 900.0, 1000.0], 900.0, id="a pod that was not Ready in between takes longer"),
        pytest.param([None, 900.0], 900.0, id="a pod that is not Ready counts as its peers"),
        pytest.param([None], None, id="no pod is Ready"),
        pytest.param([-5.0], 0.0, id="clocks that differ"),
    ],
)
def test_the_known_start_is_the_shortest_of_the_workload(seconds: list[float | None], expected_s: float | None) -> None:
    assert known_start_s(*seconds) == expected_s


@pytest.mark.parametrize(
    ("ready_s", "restarted_s", "expected"),
    [
        pytest.param(30, None, StartTime(created_s=30.0), id="Ready since its start"),
        pytest.param(DAYS_S, None, StartTime(), id="not Ready in between: a node or a kubelet was restarted"),
        pytest.param(DAYS_S, DAYS_S - 20, StartTime(restarted_s=20.0), id="restarted in place after an OOM kill"),
        pytest.param(DAYS_S, DAYS_S - 7200, StartTime(), id="restarted, and not Ready in between"),
        pytest.param(1500, None, StartTime(created_s=1500.0), id="a model server"),
    ],
)
def test_the_time_to_become_ready_is_counted_from_the_last_start(
    ready_s: float, restarted_s: float | None, expected: StartTime
) -> None:
    running = container(started_at=at(2)) if restarted_s is None else container(started_at=at(restarted_s), restarts=1)
    assert start_time(pod(created_at=at(0), ready_at=at(ready_s), containers=(running,))) == expected


def test_pods_of_another_workload_do_not_count() -> None:
    pods = started("leaky-0", 900.0), started("other-0", 5.0, "other")
    durations = RollDurations.measure("leaky", DrainSpec(), (), pods)
    assert [durations.known_start_s(p) for p in pods] == [900.0, 5.0]
    assert durations.known_start_s(pod(controller=None)) is None


def test_without_a_measured_roll_the_known_start_counts() -> None:
    flipped, fresh, unready = started("a", 40_000.0), started("b", 900.0), started("c", None)
    durations = RollDurations.measure("leaky", DrainSpec(), (), (flipped, fresh, unready))
    assert {durations.of_pod_s(p) for p in (flipped, fresh, unready)} == {900.0 + ROLL_OVERHEAD_S}
    alone = RollDurations.measure("leaky", DrainSpec(), (), (unready,))
    assert alone.of_pod_s(unready) == ASSUMED_READY_S + ROLL_OVERHEAD_S
    assert start_time(unready).seconds is None


def test_a_pod_whose_readiness_flaps_keeps_the_start_time_that_was_seen_before():
    """One failed probe moves the time of Ready: the API server has only the last change."""
    seen, spec = StartTimes(), DrainSpec()
    started_once, flapped = started("leaky-0", 20.0), started("leaky-0", 500.0)
    before = RollDurations.measure("leaky", spec, (), [started_once], seen)
    unready = RollDurations.measure("leaky", spec, (), [started("leaky-0", None)], seen)
    after = RollDurations.measure("leaky", spec, (), [flapped], seen)
    assert [d.known_start_s(flapped) for d in (before, unready, after)] == [20.0, 20.0, 20.0]
    assert after.of_pod_s(flapped) == 20.0 + ROLL_OVERHEAD_S
    other = started("leaky-1", 500.0)
    assert RollDurations.measure("leaky", spec, (), [other], seen).known_start_s(other) == 500.0
    assert seen.of(flapped).seconds == 500.0, "the times of pods that are gone are forgotten"


def restarted(name: str, seconds: float) -> Any:
    """Return a pod that became Ready some time after its container had restarted, a day after its creation."""
    containers = (container(started_at=at(86_400), restarts=1),)
    return replace(started(name, 86_400 + seconds), containers=containers)


@pytest.mark.parametrize(
    ("pods", "expected_s"),
    [
        pytest.param((started("leaky-0", 900.0), restarted("leaky-1", 30.0)), 900.0, id="a peer"),
        pytest.param((restarted("leaky-1", 30.0),), 30.0, id="nothing else is known"),
        pytest.param((restarted("leaky-1", 30.0), restarted("leaky-0", 20.0)), 20.0, id="the shortest restart"),
        pytest.param((restarted("leaky-1", 900.0), started("leaky-0", 30.0)), 30.0, id="a longer restart"),
    ],
)
def test_a_restart_in_place_is_no_measure_of_a_new_pod(pods: tuple[Any, ...], expected_s: float) -> None:
    """It finds its image and its data on the node; a replacement may take far longer."""
    assert RollDurations.measure("leaky", DrainSpec(), (), pods).known_start_s(pods[0]) == expected_s


def test_a_pod_that_restarts_in_place_keeps_the_start_time_that_was_seen_before() -> None:
    seen, spec = StartTimes(), DrainSpec()
    for known in (started("leaky-0", 900.0), restarted("leaky-0", 30.0), restarted("leaky-0", 700.0)):
        assert RollDurations.measure("leaky", spec, (), [known], seen).known_start_s(known) == 900.0
    assert seen.of(known) == StartTime(created_s=900.0, restarted_s=30.0)
