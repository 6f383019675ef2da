"""The time of a plan is near-linear in its candidates, and a large plan does not block the event loop."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll.model.pods import ObjectRef
from memroll.planning.budgets import BudgetLimit, BudgetTimeline
from memroll.planning.plan import make_plan
from memroll.reconcile import plan_rolls
from tests.builders import at, candidate, container, context, leak_verdict, pod, policy, workload

FEW, MANY = 300, 2400
MAX_RATIO = 14.0
"""Maximum ratio of the times at eight times the candidates: 8 if the time is linear, 64 if it is quadratic."""
UNLIMITED: dict[str, Any] = {"budgets": [], "maxConcurrent": "100%", "cooldown": "0s"}


def leaking_pods(number: int, controllers: int, *, due: bool) -> list[Any]:
    made = []
    for i in range(number):
        name, replicas = f"chat-{i % controllers}", number // controllers
        owner, controller = (
            ObjectRef("apps/v1", kind, name, f"{kind}-{name}") for kind in ("Deployment", "ReplicaSet")
        )
        owned = workload(owner=owner, controller=controller, controller_replicas=replicas, replicas=replicas)
        started = (container(started_at=at(-24 * 3600.0)),)
        verdict = leak_verdict(20.0 + i, lead_s=1e6) if due else leak_verdict(36_000.0 + i, lead_s=30.0, due=False)
        made.append(
            candidate(pod=pod(f"p{i}", controller=controller, containers=started), verdict=verdict, workload=owned)
        )
    return made


def plan_s(number: int, controllers: int, spec: dict[str, Any], *, due: bool) -> float:
    candidates = leaking_pods(number, controllers, due=due)
    given_context = context(spec=policy(mode="Enforce", roll=spec).spec, policy_pods=number, watched_pods=number)
    durations_s = []
    for _ in range(2):
        begun_s = time.thread_time()
        make_plan(candidates, given_context)
        durations_s.append(time.thread_time() - begun_s)
    return min(durations_s)


@pytest.mark.parametrize("due", [True, False], ids=["due", "ahead"])
@pytest.mark.parametrize(
    ("controllers", "spec"),
    [
        pytest.param(1, {}, id="default"),
        pytest.param(1, UNLIMITED, id="one workload without limits"),
        pytest.param(50, UNLIMITED, id="many workloads without limits"),
        pytest.param(1, {"budgets": [{"rolls": 1, "per": "1h"}]}, id="a small budget"),
        pytest.param(10, {"budgets": [{"rolls": "20%", "per": "1h"}, {"rolls": "50%", "per": "24h"}]}, id="shares"),
    ],
)
def test_the_time_is_near_linear(controllers: int, spec: dict[str, Any], due: bool) -> None:  # noqa: FBT001 - a parameter
    ratios = []
    for _ in range(3):  # noise only adds time: one good measurement is enough
        ratios.append(plan_s(MANY, controllers, spec, due=due) / plan_s(FEW, controllers, spec, due=due))
        if ratios[-1] <= MAX_RATIO:
            return
    pytest.fail(f"{MANY // FEW} times the candidates take {ratios} times as long")


@pytest.mark.parametrize(("number", "in_thread"), [(1, False), (plan_rolls.MAX_CANDIDATES_ON_LOOP + 1, True)])
async def test_a_large_plan_is_made_in_a_thread(number, in_thread, monkeypatch):
    threads = []

    def recorded(*arguments):
        threads.append(threading.current_thread())
        return make_plan(*arguments)

    monkeypatch.setattr(plan_rolls, "make_plan", recorded)
    found = await plan_rolls._make_plan(leaking_pods(number, 1, due=True), context(policy_pods=number))
    assert len(found.rolls) + len(found.blocked) == number
    assert (threads[0] is not threading.main_thread()) is in_thread


class ExhaustiveTimeline(BudgetTimeline):
    """Timeline that searches all starts each time."""

    def _conflict(self, moment):
        for limit in self._limits:
            starts, size, place = self._starts, limit.max_rolls, bisect_left(self._starts, moment)
            for i in range(max(0, place - size), min(place, len(starts) - size) + 1):
                first, last = starts[i], starts[i + size - 1]
                if max(last, moment) - min(first, moment) < limit.per:
                    return first, last, limit.per
        return None

    def latest(self, moment):
        self._full_before = (self._now, self._now)
        return super().latest(moment)

    def earliest(self, moment):
        self._full_after = (self._now, self._now)
        return super().earliest(moment)


LIMITS = st.lists(
    st.builds(lambda rolls, per_s: BudgetLimit(rolls, at(per_s) - at(0)), st.integers(1, 4), st.integers(1, 40)),
    min_size=1,
    max_size=2,
)
SEARCHES = st.lists(st.tuples(st.booleans(), st.integers(-20, 120)), max_size=25)


@given(LIMITS, st.lists(st.integers(-60, 0), max_size=5), SEARCHES)
def test_what_is_skipped_has_no_free_time(limits, used, searches):
    now = at(0)
    quick, exhaustive = (made(limits, [at(s) for s in used], now) for made in (BudgetTimeline, ExhaustiveTimeline))
    for forwards, seconds in searches:
        found, expected = (
            t.earliest(at(max(0, seconds))) if forwards else t.latest(at(seconds)) for t in (quick, exhaustive)
        )
        assert found == expected or max(found, expected) < now, "none is left"
        for timeline in (quick, exhaustive):
            timeline.add(expected)
