"""Latest safe start of each roll of a workload."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.model.pods import ObjectRef
from memroll.planning.plan import make_plan
from memroll.planning.schedule import schedule_candidates
from tests.builders import (
    NOW,
    WORKLOAD_REF,
    above_threshold_verdict,
    at,
    candidate,
    container,
    context,
    exhausting_verdict,
    leak_verdict,
    pod,
    roll,
    workload,
)

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRoll
    from memroll.planning.candidate import Candidate

HOUR = 3600.0
LEAD_S = HOUR
NIGHTS = {"allow": [{"start": "22:00", "end": "05:00"}]}


def leak(name: str, deadline_s: float, *, age_s: float = 0.0, lead_s: float = LEAD_S) -> Candidate:
    """Build a confirmed leak with its own deadline that many seconds ahead."""
    found = leak_verdict(lead_s + deadline_s, lead_s=lead_s, due=deadline_s <= 0)
    target = pod(name, containers=(container(started_at=at(-age_s)),))
    return candidate(pod=target, verdict=found, workload=workload(controller_replicas=4))


def measured(seconds: int, name: str = "leaky") -> PodRoll:
    """Build a roll of a workload with that duration, two days ago."""
    began = at(-200_000)
    times = {"announced": began.isoformat(), "finished": (began + timedelta(seconds=seconds)).isoformat()}
    spec = {"replacementTimeoutSeconds": max(5, seconds)}
    return roll("Succeeded", created=began, spec=spec, workload=WORKLOAD_REF | {"name": name}, times=times)


def starts(found: list[Candidate]) -> dict[str, float | None]:
    """Return the latest start of each, in seconds from now."""
    return {c.pod.key.name: c.latest_start and (c.latest_start - NOW).total_seconds() for c in found}


SPACED = {"roll": {"cooldown": "9m55s"}}
"""Roll slots of a quarter of an hour, with rolls of 5 minutes and the interval of 5 seconds."""


def test_a_single_leak_starts_at_its_own_deadline():
    (found,) = schedule_candidates([leak("a", 5000)], context(measured(300), policy=SPACED))
    assert (starts([found]), found.due, found.advanced_because) == ({"a": 5000.0}, False, "")


def test_peers_start_early_enough_for_those_after_them():
    found = schedule_candidates(
        [leak("a", 5000), leak("b", 5000), leak("c", 5500)], context(measured(300), policy=SPACED)
    )
    assert starts(found) == {"c": 5500.0, "b": 4600.0, "a": 3700.0}, "the last one at its own deadline"


def test_two_concurrent_rolls_halve_the_queue():
    spec = {"roll": {"cooldown": "9m55s", "maxConcurrent": 2}}
    family = [leak(name, 5000) for name in "abcd"]
    found = starts(schedule_candidates(family, context(measured(300), policy=spec)))
    # Together they start at the same time, except for the spread: a twentieth of a life, at most a tenth in all.
    gap = 0.1 / 3 * (LEAD_S + 5000)
    assert found["d"] == 5000
    assert found["c"] == pytest.approx(5000 - gap)
    assert found["b"] == pytest.approx(5000 - 900)
    assert found["a"] == pytest.approx(5000 - gap - 900)


def test_a_pod_is_due_now_if_its_peers_need_the_time_before_its_deadline():
    found = schedule_candidates([leak("a", 500), leak("b", 600)], context(measured(300), policy=SPACED))
    assert [c.advanced_because for c in found] == [
        "8m before its deadline: 1 leaking peer must be rolled after it",
        "",
    ]
    plan = make_plan([leak("a", 500), leak("b", 600)], context(measured(300), policy=SPACED))
    assert [c.pod.key.name for c in plan.rolls] == ["a"]
    assert [b.gate for b in plan.blocked] == ["NotDue"]


def test_a_due_pod_advances_no_peer_that_can_follow_it():
    found = schedule_candidates(
        [leak("near", 1000), leak("due", 0, lead_s=2 * HOUR)], context(measured(300), policy=SPACED)
    )
    assert [c.pod.key.name for c in found if c.due] == ["due"]


def test_the_duration_is_measured_for_the_workload_else_for_the_policy_else_estimated():
    other, family = measured(1200, "other"), [leak("a", 5000), leak("b", 5000)]
    assert starts(schedule_candidates(family, context(measured(600), other, policy=SPACED)))["a"] == 5000 - 1200
    assert starts(schedule_candidates(family, context(other, policy=SPACED)))["a"] == 5000 - 1800
    assert starts(schedule_candidates(family, context(policy=SPACED)))["a"] == 5000 - 615, "5 s to become Ready, and 10"


def test_peers_of_one_age_are_spread_so_that_they_do_not_come_due_together_again():
    life_s = 240 * HOUR
    family = [leak(name, 20 * HOUR, age_s=life_s - 21 * HOUR) for name in "abc"]
    found = starts(schedule_candidates(family, context(measured(300), policy=SPACED)))
    assert found["c"] == 20 * HOUR
    assert found["b"] == pytest.approx(8 * HOUR), "a twentieth of ten days apart"
    assert found["a"] == pytest.approx(-4 * HOUR), "and none gives away more than a tenth"
    again = [leak(name, start + life_s) for name, start in found.items()]
    expected = pytest.approx({name: start + life_s for name, start in found.items()})
    assert starts(schedule_candidates(again, context(measured(300), policy=SPACED))) == expected, (
        "the next time nothing is moved"
    )


def test_a_pod_holds_up_the_queue_if_others_would_be_late_but_not_if_it_is_only_spread():
    spread = [leak(name, 20 * HOUR, age_s=219 * HOUR) for name in "abc"]
    found = schedule_candidates(spread, context(measured(300), policy=SPACED))
    assert [(c.pod.key.name, bool(c.advanced_because), c.holds_up_queue) for c in found] == [
        ("a", True, False), ("b", False, False), ("c", False, False),
    ]  # fmt: skip
    queued = [leak(name, 1000) for name in "abc"]
    found = schedule_candidates(queued, context(measured(300), policy=SPACED))
    assert [c.holds_up_queue for c in found] == [True, False, False], "a quarter of an hour each"


def test_of_pods_that_are_equally_near_their_limit_the_oldest_is_first():
    """Otherwise pods that were just replaced could come before it again and again."""
    pods = [pod(name, created_at=at(-age_s)) for name, age_s in (("a-new", 40), ("b-newest", 20), ("z-old", 9000))]
    waiting = [candidate(pod=p, verdict=above_threshold_verdict()) for p in pods]
    ordered = schedule_candidates(waiting, context())
    assert [c.pod.key.name for c in ordered] == ["z-old", "a-new", "b-newest"]


def test_pods_of_other_workloads_do_not_matter():
    stranger = leak("b", 1000)
    target = pod("b", controller=ObjectRef("apps/v1", "ReplicaSet", "other-1", "rs-2"))
    stranger = candidate(pod=target, verdict=stranger.verdict)
    found = schedule_candidates([leak("a", 1000), stranger], context(measured(300), policy=SPACED))
    assert starts(found) == {"a": 1000.0, "b": 1000.0}


def test_pods_without_a_controller_are_no_peers():
    bare = [candidate(pod=pod(n, controller=None), verdict=leak_verdict(4600, lead_s=HOUR, due=False)) for n in "ab"]
    assert starts(schedule_candidates(bare, context(measured(3000), policy=SPACED))) == {"a": 1000.0, "b": 1000.0}


NOT_CONFIRMED = [
    pytest.param(exhausting_verdict(3 * HOUR, HOUR, due=False), id="it runs out of memory"),
    pytest.param(above_threshold_verdict(due=False), id="it is above its usage threshold"),
    pytest.param(leak_verdict(HOUR / 2, lead_s=HOUR, due=False), id="a leak within its lead time that failed a check"),
    pytest.param(leak_verdict(None, lead_s=None, due=False), id="a leak without a limit"),
]


@pytest.mark.parametrize("verdict", NOT_CONFIRMED)
@pytest.mark.parametrize("windows", [None, {"allow": [{"start": "00:00", "end": "13:00"}]}])
def test_only_a_confirmed_leak_far_from_its_limit_is_advanced(verdict, windows):
    odd = candidate(pod=pod("odd"), verdict=verdict)
    spec = SPACED["roll"] | ({"maintenanceWindows": windows} if windows else {})
    found = schedule_candidates([odd, *(leak(n, 100) for n in "abc")], context(measured(3000), policy={"roll": spec}))
    (seen,) = [c for c in found if c.pod.key.name == "odd"]
    assert (seen.due, seen.advanced_because, seen.latest_start) == (False, "", None)


# windows: it is noon; they open at 22:00 and close at 05:00

WINDOWED = {"roll": {"cooldown": "10m", "maintenanceWindows": NIGHTS}}
OPEN = {"now": at(13 * HOUR)}
"""One o'clock in the morning."""


@pytest.mark.parametrize(
    ("deadline_h", "advanced"),
    [
        pytest.param(3, False, id="within this window: at its own time"),
        pytest.param(5, True, id="after it has closed: now"),
        pytest.param(20, True, id="before the next one opens: now"),
        pytest.param(22, False, id="in the next one: then"),
        pytest.param(40, False, id="after the next one: then, too"),
    ],
)
def test_a_pod_with_its_deadline_outside_the_windows_is_rolled_in_the_last_window_before_it(deadline_h, advanced):
    (found,) = schedule_candidates([leak("a", deadline_h * HOUR)], context(measured(300), policy=WINDOWED, **OPEN))
    assert found.due is advanced
    if advanced:
        because = "the last maintenance window before it closes at 2026-03-02T05:00:00Z"
        assert found.advanced_because == f"{deadline_h}h before its deadline: {because}"


def test_a_window_too_short_for_all_rolls_moves_some_into_the_one_before():
    """Five leaks come due at noon tomorrow; a night of 20 minutes has room for two, so they begin the night before."""
    spec = {"roll": {"cooldown": "10m", "maintenanceWindows": {"allow": [{"start": "01:00", "end": "01:20"}]}}}
    family = [leak(name, 35 * HOUR) for name in "abcde"]
    tonight = {c.pod.key.name: c.due for c in schedule_candidates(family, context(measured(300), policy=spec, **OPEN))}
    assert tonight == {"a": True, "b": True, "c": True, "d": False, "e": False}


LONG = {"roll": {"maintenanceWindows": NIGHTS}}
EARLY = (
    "outside the maintenance windows: the pod would reach its limit before the next one opens at 2026-03-01T22:00:00Z"
)


@pytest.mark.parametrize(
    ("left_h", "when", "gate", "outside"),
    [
        pytest.param(9, "Roll", None, EARLY, id="it would be too late: now"),
        pytest.param(9, "Hold", "OutsideMaintenanceWindow", "", id="it would be, but must not"),
        pytest.param(10.2, "Roll", None, EARLY, id="a roll would not be done in time"),
        pytest.param(11, "Roll", "OutsideMaintenanceWindow", "", id="there is time enough"),
    ],
)
def test_a_due_pod_outside_the_windows(left_h, when, gate, outside):
    spec = {"roll": {"maintenanceWindows": NIGHTS | {"whenLimitComesFirst": when}}}
    due = candidate(verdict=leak_verdict(left_h * HOUR, lead_s=12 * HOUR))
    plan = make_plan([due], context(measured(300), policy=spec))
    assert [b.gate for b in plan.blocked] == ([gate] if gate else [])
    assert [c.outside_window_because for c in plan.rolls] == ([] if gate else [outside])


def test_a_leak_without_a_window_before_its_deadline_waits_for_its_own():
    found = schedule_candidates([leak("a", 2 * HOUR)], context(measured(300), policy=LONG))
    assert [(c.due, c.outside_window_because) for c in found] == [(False, "")]


def test_windows_that_never_open_never_roll_even_if_the_limit_comes_first():
    spec = {"roll": {"maintenanceWindows": {"deny": [{}]}}}
    plan = make_plan([candidate(verdict=leak_verdict(1.0))], context(policy=spec))
    assert [(b.gate, b.message) for b in plan.blocked] == [
        ("OutsideMaintenanceWindow", "the maintenance windows never open")
    ]


def test_slopes_that_reach_further_than_any_calendar_raise_no_error():
    far = [leak("a", 1e15), leak("b", float("inf"))]
    assert not any(c.due for c in schedule_candidates(far, context(policy=WINDOWED)))
    assert not any(c.due for c in schedule_candidates(far, context(policy=SPACED)))


@settings(max_examples=200)
@given(
    deadlines=st.lists(st.floats(-100, 200_000), min_size=1, max_size=12),
    at_once=st.integers(1, 4),
    roll_s=st.integers(1, 2000),
    nights=st.booleans(),
)
def test_no_start_is_later_than_its_deadline_and_the_queue_fits(deadlines, at_once, roll_s, nights):
    spec = {"cooldown": "5m", "maxConcurrent": at_once} | ({"maintenanceWindows": NIGHTS} if nights else {})
    family = [leak(f"p{i:02d}", d) for i, d in enumerate(deadlines)]
    found = [
        c
        for c in schedule_candidates(family, context(measured(roll_s), policy={"roll": spec}))
        if c.latest_start is not None
    ]
    by_deadline = sorted(found, key=lambda c: (c.verdict.time_to_limit_s, c.pod.key.name))
    begins = [(c.latest_start - NOW).total_seconds() for c in by_deadline]
    for c, start in zip(by_deadline, begins, strict=True):
        assert start <= c.verdict.time_to_limit_s - LEAD_S + 1e-3
    for start, later in zip(begins, begins[at_once:], strict=False):
        assert start <= later - (roll_s + 300) + 1e-3, "the one after it has a free slot"
