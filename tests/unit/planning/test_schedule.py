"""When each sibling must go: as late as is safe."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.detection.verdict import Breach, Code
from memroll.model.pods import ObjectRef
from memroll.planning.plan import make_plan
from memroll.planning.schedule import scheduled
from tests.builders import MIB, NOW, WORKLOAD_REF, at, breach, candidate, container, context, pod, roll, workload

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRoll
    from memroll.planning.candidate import Candidate

HOUR = 3600.0
LEAD_S = HOUR
NIGHTS = {"allow": [{"start": "22:00", "end": "05:00"}]}


def leak(name: str, deadline_s: float, *, age_s: float = 0.0, lead_s: float = LEAD_S) -> Candidate:
    """Build a confirmed leak whose own deadline is so many seconds ahead."""
    found = breach(lead_s + deadline_s, lead_s=lead_s, due=deadline_s <= 0)
    target = pod(name, containers=(container(started_at=at(-age_s)),))
    return candidate(target=target, breach=found, workload=workload(desired=4))


def measured(seconds: int, name: str = "leaky") -> PodRoll:
    """Build a roll of a workload that took so long, two days ago."""
    began = at(-200_000)
    times = {"announced": began.isoformat(), "finished": (began + timedelta(seconds=seconds)).isoformat()}
    return roll("Succeeded", created=began, workload=WORKLOAD_REF | {"name": name}, times=times)


def starts(found: list[Candidate]) -> dict[str, float | None]:
    """Return the latest start of each, in seconds from now."""
    return {c.target.key.name: c.start_by and (c.start_by - NOW).total_seconds() for c in found}


SPACED = {"roll": {"cooldown": "10m"}}
"""With a roll of 5 minutes: a quarter of an hour each."""


def test_a_leak_alone_goes_at_its_own_deadline():
    (found,) = scheduled([leak("a", 5000)], context(measured(300), policy=SPACED))
    assert (starts([found]), found.due, found.hurried) == ({"a": 5000.0}, False, "")


def test_siblings_start_early_enough_for_those_after_them():
    found = scheduled([leak("a", 5000), leak("b", 5000), leak("c", 5500)], context(measured(300), policy=SPACED))
    assert starts(found) == {"c": 5500.0, "b": 4600.0, "a": 3700.0}, "the last one at its own deadline"


def test_two_at_a_time_halve_the_queue():
    spec = {"roll": {"cooldown": "10m", "maxConcurrent": 2}}
    family = [leak(name, 5000) for name in "abcd"]
    found = starts(scheduled(family, context(measured(300), policy=spec)))
    # Together they start at the same time but for the spread: a twentieth of a life, at most a tenth in all.
    gap = 0.1 / 3 * (LEAD_S + 5000)
    assert found["d"] == 5000
    assert found["c"] == pytest.approx(5000 - gap)
    assert found["b"] == pytest.approx(5000 - 900)
    assert found["a"] == pytest.approx(5000 - gap - 900)


def test_a_pod_before_whose_deadline_siblings_need_time_is_due_now():
    found = scheduled([leak("a", 500), leak("b", 600)], context(measured(300), policy=SPACED))
    assert [c.hurried for c in found] == [
        "8m before its deadline: siblings that leak as well are rolled after it (1)",
        "",
    ]
    plan = make_plan([leak("a", 500), leak("b", 600)], context(measured(300), policy=SPACED))
    assert [c.target.key.name for c in plan.rolls] == ["a"]
    assert [h.gate for h in plan.holds] == ["not_due"]


def test_a_pod_that_is_due_hurries_none_that_can_follow_it():
    found = scheduled([leak("near", 1000), leak("due", 0, lead_s=2 * HOUR)], context(measured(300), policy=SPACED))
    assert [c.target.key.name for c in found if c.due] == ["due"]


def test_the_duration_is_that_of_this_workload_else_of_the_policy_else_guessed():
    other, family = measured(1200, "other"), [leak("a", 5000), leak("b", 5000)]
    assert starts(scheduled(family, context(measured(600), other, policy=SPACED)))["a"] == 5000 - 1200
    assert starts(scheduled(family, context(other, policy=SPACED)))["a"] == 5000 - 1800
    assert starts(scheduled(family, context(policy=SPACED)))["a"] == 5000 - 615, "5 s to become Ready, and 10"


def test_siblings_of_one_age_are_spread_so_that_they_do_not_come_due_together_again():
    life_s = 240 * HOUR
    family = [leak(name, 20 * HOUR, age_s=life_s - 21 * HOUR) for name in "abc"]
    found = starts(scheduled(family, context(measured(300), policy=SPACED)))
    assert found["c"] == 20 * HOUR
    assert found["b"] == pytest.approx(8 * HOUR), "a twentieth of ten days apart"
    assert found["a"] == pytest.approx(-4 * HOUR), "and none gives away more than a tenth"
    again = [leak(name, start + life_s) for name, start in found.items()]
    expected = pytest.approx({name: start + life_s for name, start in found.items()})
    assert starts(scheduled(again, context(measured(300), policy=SPACED))) == expected, "the next time nothing is moved"


def test_who_must_go_now_for_the_sake_of_those_behind_is_pressed_and_who_is_only_spread_is_not():
    spread = [leak(name, 20 * HOUR, age_s=219 * HOUR) for name in "abc"]
    found = scheduled(spread, context(measured(300), policy=SPACED))
    assert [(c.target.key.name, bool(c.hurried), c.pressed) for c in found] == [
        ("a", True, False), ("b", False, False), ("c", False, False),
    ]  # fmt: skip
    queued = [leak(name, 1000) for name in "abc"]
    found = scheduled(queued, context(measured(300), policy=SPACED))
    assert [c.pressed for c in found] == [True, False, False], "a quarter of an hour each"


def test_pods_of_other_workloads_do_not_matter():
    stranger = leak("b", 1000)
    target = pod("b", controller=ObjectRef("apps/v1", "ReplicaSet", "other-1", "rs-2"))
    stranger = candidate(target=target, breach=stranger.breach)
    found = scheduled([leak("a", 1000), stranger], context(measured(300), policy=SPACED))
    assert starts(found) == {"a": 1000.0, "b": 1000.0}


def test_pods_without_a_controller_are_no_siblings():
    bare = [candidate(target=pod(n, controller=None), breach=breach(4600, lead_s=HOUR, due=False)) for n in "ab"]
    assert starts(scheduled(bare, context(measured(3000), policy=SPACED))) == {"a": 1000.0, "b": 1000.0}


NOT_CONFIRMED = [
    pytest.param(Breach(Code.EXHAUSTING, "", None, 100.0 * MIB, 3 * HOUR, HOUR), id="it runs out of memory"),
    pytest.param(Breach(Code.CEILING, "", None, 100.0 * MIB, 0.0), id="it is above its ceiling"),
    pytest.param(breach(HOUR / 2, lead_s=HOUR, due=False), id="a leak that the last stretch speaks for"),
    pytest.param(breach(None, lead_s=None, due=False), id="a leak without a limit"),
]


@pytest.mark.parametrize("verdict", NOT_CONFIRMED)
@pytest.mark.parametrize("windows", [None, {"allow": [{"start": "00:00", "end": "13:00"}]}])
def test_nothing_but_a_confirmed_leak_far_from_its_limit_is_ever_hurried(verdict, windows):
    odd = candidate(target=pod("odd"), breach=verdict)
    spec = SPACED["roll"] | ({"windows": windows} if windows else {})
    found = scheduled([odd, *(leak(n, 100) for n in "abc")], context(measured(3000), policy={"roll": spec}))
    (seen,) = [c for c in found if c.target.key.name == "odd"]
    assert (seen.due, seen.hurried, seen.start_by) == (False, "", None)


# windows: it is noon; they open at 22:00 and close at 05:00

WINDOWED = {"roll": {"cooldown": "10m", "windows": NIGHTS}}
OPEN = {"now": at(13 * HOUR)}
"""One in the morning."""


@pytest.mark.parametrize(
    ("deadline_h", "hurried"),
    [
        pytest.param(3, False, id="within this window: at its own time"),
        pytest.param(5, True, id="after it has closed: now"),
        pytest.param(20, True, id="before the next one opens: now"),
        pytest.param(22, False, id="in the next one: then"),
        pytest.param(40, False, id="after the next one: then, too"),
    ],
)
def test_a_pod_whose_deadline_falls_outside_goes_in_the_last_window_before_it(deadline_h, hurried):
    (found,) = scheduled([leak("a", deadline_h * HOUR)], context(measured(300), policy=WINDOWED, **OPEN))
    assert found.due is hurried
    if hurried:
        assert (
            found.hurried
            == f"{deadline_h}h before its deadline: the last window before it closes at 2026-03-02T05:00:00Z"
        )


def test_a_window_too_short_for_all_spills_into_the_one_before():
    """Five leaks come due at noon tomorrow; a night of 20 minutes has room for two, so they begin the night before."""
    spec = {"roll": {"cooldown": "10m", "windows": {"allow": [{"start": "01:00", "end": "01:20"}]}}}
    family = [leak(name, 35 * HOUR) for name in "abcde"]
    tonight = {c.target.key.name: c.due for c in scheduled(family, context(measured(300), policy=spec, **OPEN))}
    assert tonight == {"a": True, "b": True, "c": True, "d": False, "e": False}


LONG = {"roll": {"windows": NIGHTS}}
EARLY = "outside of the windows: it would reach its limit before the next one opens at 2026-03-01T22:00:00Z"


@pytest.mark.parametrize(
    ("left_h", "act_early", "gate", "outside"),
    [
        pytest.param(9, True, None, EARLY, id="it would be too late: now"),
        pytest.param(9, False, "outside_windows", "", id="it would be, but must not"),
        pytest.param(10.2, True, None, EARLY, id="a roll would not be done in time"),
        pytest.param(11, True, "outside_windows", "", id="there is time enough"),
    ],
)
def test_a_due_pod_outside_of_the_windows(left_h, act_early, gate, outside):
    spec = {"roll": {"windows": NIGHTS | {"actEarly": act_early}}}
    due = candidate(breach=breach(left_h * HOUR, lead_s=12 * HOUR))
    plan = make_plan([due], context(measured(300), policy=spec))
    assert [h.gate for h in plan.holds] == ([gate] if gate else [])
    assert [c.outside for c in plan.rolls] == ([] if gate else [outside])


def test_a_leak_without_a_window_before_its_deadline_waits_for_its_own():
    found = scheduled([leak("a", 2 * HOUR)], context(measured(300), policy=LONG))
    assert [(c.due, c.outside) for c in found] == [(False, "")]


def test_windows_that_never_open_never_roll_whatever_actearly_says():
    spec = {"roll": {"windows": {"deny": [{}]}}}
    plan = make_plan([candidate(breach=breach(1.0))], context(policy=spec))
    assert [(h.gate, h.words) for h in plan.holds] == [("outside_windows", "the windows never open")]


def test_slopes_that_reach_further_than_any_calendar_are_no_trouble():
    far = [leak("a", 1e15), leak("b", float("inf"))]
    assert not any(c.due for c in scheduled(far, context(policy=WINDOWED)))
    assert not any(c.due for c in scheduled(far, context(policy=SPACED)))


@settings(max_examples=200)
@given(
    deadlines=st.lists(st.floats(-100, 200_000), min_size=1, max_size=12),
    at_once=st.integers(1, 4),
    roll_s=st.integers(1, 2000),
    nights=st.booleans(),
)
def test_no_start_is_later_than_its_deadline_and_the_queue_fits(deadlines, at_once, roll_s, nights):
    spec = {"cooldown": "5m", "maxConcurrent": at_once} | ({"windows": NIGHTS} if nights else {})
    family = [leak(f"p{i:02d}", d) for i, d in enumerate(deadlines)]
    found = [c for c in scheduled(family, context(measured(roll_s), policy={"roll": spec})) if c.start_by is not None]
    by_deadline = sorted(found, key=lambda c: (c.breach.time_to_limit_s, c.target.key.name))
    begins = [(c.start_by - NOW).total_seconds() for c in by_deadline]
    for c, start in zip(by_deadline, begins, strict=True):
        assert start <= c.breach.time_to_limit_s - LEAD_S + 1e-3
    for start, later in zip(begins, begins[at_once:], strict=False):
        assert start <= later - (roll_s + 300) + 1e-3, "whoever comes after it finds its place free"
