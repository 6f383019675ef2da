from __future__ import annotations

import asyncio
import logging

import pytest

from memroll.controller.workqueue import Key, Schedule, supervise

A, B = Key("demo", "a"), Key("demo", "b")


async def until(condition, what="the condition"):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any condition, not only one that sets an event
            await asyncio.sleep(0)
    assert condition(), what


class Work:
    """Counts its runs, never two at once for one key, and waits at a gate that the test opens."""

    def __init__(self, wait_s=3600.0):
        self.wait_s, self.runs, self.at_once, self.most_at_once = wait_s, [], set(), 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, key):
        assert key not in self.at_once, "one key ran twice at once"
        self.at_once.add(key)
        self.most_at_once = max(self.most_at_once, len(self.at_once))
        self.runs.append(key)
        await self.gate.wait()
        self.at_once.discard(key)
        return self.wait_s


@pytest.fixture
def start():
    """Run schedules until the test ends."""
    tasks = []

    def run(schedule):
        tasks.append(asyncio.get_running_loop().create_task(schedule.run()))
        return schedule

    yield run
    for task in tasks:
        task.cancel()


async def test_a_woken_key_runs_and_then_waits_for_its_time(start):
    work = Work()
    schedule = start(Schedule(work, at_once=4))
    schedule.wake(A)
    await until(lambda: work.runs == [A] and not work.at_once)
    schedule.wake(B)
    await until(lambda: work.runs == [A, B])


async def test_a_key_comes_back_when_it_is_due(start):
    work = Work(wait_s=0.01)
    schedule = start(Schedule(work, at_once=4))
    schedule.wake(A)
    await until(lambda: len(work.runs) >= 3)


async def test_a_key_that_is_woken_while_it_runs_runs_once_more(start):
    work = Work()
    work.gate.clear()
    schedule = start(Schedule(work, at_once=4))
    schedule.wake(A)
    await until(lambda: work.at_once)
    schedule.wake(A)
    schedule.wake(A)
    work.gate.set()
    await until(lambda: work.runs == [A, A] and not work.at_once)


async def test_no_more_run_at_once_than_allowed(start):
    work = Work(wait_s=None)
    work.gate.clear()
    schedule = start(Schedule(work, at_once=2))
    for i in range(20):
        schedule.wake(Key("demo", str(i)))
    await until(lambda: len(work.at_once) == 2)
    work.gate.set()
    await until(lambda: len(work.runs) == 20 and not work.at_once)
    assert work.most_at_once == 2


async def test_a_key_without_a_next_time_is_forgotten(start):
    work = Work(wait_s=None)
    schedule = start(Schedule(work, at_once=2))
    schedule.wake(A)
    await until(lambda: work.runs == [A] and not schedule.knows(A))
    assert len(schedule) == 0


async def test_a_bug_in_one_key_is_logged_and_stops_no_other(start, caplog):
    runs = []

    async def work(key):
        runs.append(key)
        if key == A:
            raise KeyError("a bug")
        return 3600.0

    schedule = start(Schedule(work, at_once=1))
    with caplog.at_level(logging.ERROR):
        schedule.wake(A)
        schedule.wake(B)
        await until(lambda: runs == [A, B])
    assert "a bug: work on demo/a failed" in caplog.text
    assert schedule.knows(A), "it is tried again later"


async def test_supervision_names_what_ended_and_stops_the_rest():
    stopped = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("forever")

    async def short():
        return None

    assert await supervise({"forever": forever(), "short": short()}) == "short"
    assert stopped == ["forever"]


async def test_supervision_lets_a_failure_out():
    async def broken():
        raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        await supervise({"broken": broken(), "idle": asyncio.sleep(3600)})


@pytest.mark.parametrize("turns", range(6))
async def test_a_wake_up_in_the_moment_of_a_cancellation_does_not_swallow_it(turns):
    """What swallowed it would go on for ever: the process would not end when it is told to."""
    schedule = Schedule(Work(), at_once=1)
    running = asyncio.create_task(schedule.run())
    for _ in range(10):
        await asyncio.sleep(0)
    schedule.wake(A)
    for _ in range(turns):
        await asyncio.sleep(0)
    schedule.wake(B)
    running.cancel()
    await asyncio.wait({running}, timeout=1)
    assert running.done()
    assert running.cancelled()
