"""A hostile tenant delays no other: reconciles, changes and rolls of forty tenants with it and without it.

It edits 50 policies with fat annotations 50 times a second, half of them with a connection that hangs, and has 10,000
PodRolls and one more each second, whose captures take a minute. The times are virtual: they do not depend on the
machine.
"""

from __future__ import annotations

import asyncio
import random
from statistics import mean

import pytest

from memroll.controller.key import Key
from memroll.controller.manager import MAX_POLICIES_PER_TURN
from memroll.controller.wake_limits import POLICIES, WakeLimits
from memroll.controller.workqueue import Pace, WorkQueue
from memroll.errors import MemrollError
from tests.scenario import virtual_time
from tests.scenario.tenants import HOSTILE, Measured, Operator

OBSERVED_S = 75.0
MAX_RATIO = 1.1
"""Maximum ratio of the victims' times with the hostile tenant to those without it."""
MAX_RATIO_UNBOUNDED = 1.5
"""The same where the administrator lets tenants roll as many pods by hand as they like."""
MAX_CHANGE_S = 3.0
"""Maximum time from a change of a policy to the end of its reconcile."""
UNLIMITED = 10**9


def measure(max_manual_rolls: int = 20, *, is_hostile: bool) -> Measured:
    async def observe() -> Measured:
        operator = Operator(max_manual_rolls)
        behaviours = [operator.roll_victims(), operator.change_victims()]
        if is_hostile:
            behaviours += [operator.edit_policies(), operator.create_rolls()]
        return await operator.run(OBSERVED_S, *behaviours)

    random.seed(1)
    return virtual_time.run(observe())


@pytest.fixture(scope="module")
def alone() -> Measured:
    """Measure the victims without the hostile tenant."""
    return measure(is_hostile=False)


def describe(measured: Measured) -> str:
    times = {"period": measured.periods_s, "reconcile": measured.reconciles_s, "change": measured.changes_s}
    texts = [f"{k} {mean(v):.2f} s (max {max(v):.2f})" for k, v in (times | {"roll": measured.rolls_s}).items()]
    return f"{', '.join(texts)}, {measured.hostile_reconciles} hostile reconciles, core {measured.busy_ratio:.0%}"


@pytest.mark.parametrize(
    ("max_manual_rolls", "max_ratio"),
    [pytest.param(20, MAX_RATIO, id="bounded"), pytest.param(UNLIMITED, MAX_RATIO_UNBOUNDED, id="without bounds")],
)
def test_a_hostile_tenant_delays_no_reconcile_change_or_roll_of_others(
    alone: Measured, max_manual_rolls: int, max_ratio: float
) -> None:
    with_it = measure(max_manual_rolls, is_hostile=True)
    figures = f"alone: {describe(alone)}; with the hostile tenant: {describe(with_it)}"
    assert len(with_it.rolls_s) >= len(alone.rolls_s) - 2, figures
    assert mean(with_it.periods_s) <= max_ratio * mean(alone.periods_s), figures
    assert mean(with_it.rolls_s) <= max_ratio * mean(alone.rolls_s), figures
    assert max(with_it.changes_s) <= max_ratio * MAX_CHANGE_S, figures


class Saturated:
    """Queue of 500 policies in 100 namespaces that need four times of what the one core can do."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.core, self.reconciles = virtual_time.Processor(), dict.fromkeys((f"team-{i}" for i in range(100)), 0)
        self.keys = [Key(namespace, str(i)) for namespace in self.reconciles for i in range(5)]
        self.started: dict[Key, float] = {}
        wakes = WakeLimits(POLICIES, loop.time)
        pace = Pace(2.0, wakes, max_per_turn=MAX_POLICIES_PER_TURN, now=loop.time)
        self.queue = WorkQueue(self.reconcile, 4, pace)

    async def reconcile(self, key: Key) -> float:
        self.started[key] = asyncio.get_running_loop().time()
        await self.core.use(0.25)
        if key.namespace != HOSTILE:
            self.reconciles[key.namespace] += 1
        return 30.0

    async def edit(self) -> None:
        for i in range(10**6):
            await asyncio.sleep(0.02)
            self.queue.enqueue(Key(HOSTILE, str(i % 4)))

    async def run(self, *, is_hostile: bool) -> tuple[int, float]:
        """Return the reconciles of the others, and the longest time from a change to the start of its reconcile."""
        for key in self.keys:
            self.queue.enqueue(key)
        tasks = [asyncio.ensure_future(c) for c in (self.queue.run(), *([self.edit()] if is_hostile else []))]
        longest_s, loop = 0.0, asyncio.get_running_loop()
        for i in range(20):
            await asyncio.sleep(5)
            key = self.keys[i * 5]
            changed = loop.time()
            self.queue.enqueue(key)
            while self.started.get(key, -1.0) < changed:  # noqa: ASYNC110 - in virtual time
                await asyncio.sleep(0.05)
            longest_s = max(longest_s, self.started[key] - changed)
        await asyncio.sleep(120.0 - loop.time())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return sum(self.reconciles.values()), longest_s


def test_in_a_saturated_process_changes_are_quick_and_no_namespace_is_starved() -> None:
    async def run(*, is_hostile: bool) -> tuple[int, float]:
        return await Saturated().run(is_hostile=is_hostile)

    alone, _ = virtual_time.run(run(is_hostile=False))
    reconciles, longest_s = virtual_time.run(run(is_hostile=True))
    assert reconciles * MAX_RATIO >= alone, f"{alone} reconciles alone, {reconciles} with the hostile tenant"
    assert longest_s <= MAX_CHANGE_S


def test_a_hanging_connection_holds_only_its_own_policies() -> None:
    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        handled: list[str] = []

        async def reconcile(key: Key) -> float:
            if key.name.startswith("hangs"):
                await asyncio.sleep(20.0)
                raise MemrollError("QueryTimeout", "no complete response")
            await asyncio.sleep(0.2)
            handled.append(key.name)
            return 1000.0

        pace = Pace(lane_of=lambda key: key.name.partition("-")[0], now=loop.time)
        queue = WorkQueue(reconcile, 4, pace)
        for i in range(100):  # each in a namespace of its own, so that no turn protects the others
            queue.enqueue(Key(f"team-{i}", f"hangs-{i}"))
        for i in range(40):
            queue.enqueue(Key(f"team-{i}", f"answers-{i}"))
        task = asyncio.ensure_future(queue.run())
        await asyncio.sleep(2.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return handled

    assert len(virtual_time.run(run())) == 40
