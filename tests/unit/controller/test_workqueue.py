from __future__ import annotations

import asyncio
import logging

import pytest

from memroll.controller.key import Key
from memroll.controller.wake_limits import POLICIES, WakeLimits
from memroll.controller.workqueue import Pace, WorkQueue

A, B = Key("demo", "a"), Key("demo", "b")


async def until(condition, what="the condition"):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any condition, not only one that sets an event
            await asyncio.sleep(0)
    assert condition(), what


class Handler:
    """Handler that records its calls, rejects concurrent calls for one key, and waits for an event of the test."""

    def __init__(self, wait_s=3600.0):
        self.wait_s, self.calls, self.running, self.max_running = wait_s, [], set(), 0
        self.may_finish = asyncio.Event()
        self.may_finish.set()

    async def __call__(self, key):
        assert key not in self.running, "one key ran twice at once"
        self.running.add(key)
        self.max_running = max(self.max_running, len(self.running))
        self.calls.append(key)
        await self.may_finish.wait()
        self.running.discard(key)
        return self.wait_s


@pytest.fixture
def start():
    """Run queues until the test ends."""
    tasks = []

    def run(queue):
        tasks.append(asyncio.get_running_loop().create_task(queue.run()))
        return queue

    yield run
    for task in tasks:
        task.cancel()


async def test_an_enqueued_key_is_handled_and_then_waits(start):
    handler = Handler()
    queue = start(WorkQueue(handler, concurrency=4))
    queue.enqueue(A)
    await until(lambda: handler.calls == [A] and not handler.running)
    queue.enqueue(B)
    await until(lambda: handler.calls == [A, B])


async def test_a_key_is_handled_again_when_it_is_due(start):
    handler = Handler(wait_s=0.01)
    queue = start(WorkQueue(handler, concurrency=4))
    queue.enqueue(A)
    await until(lambda: len(handler.calls) >= 3)


async def test_a_key_enqueued_while_it_is_handled_is_handled_once_more(start):
    handler = Handler()
    handler.may_finish.clear()
    queue = start(WorkQueue(handler, concurrency=4))
    queue.enqueue(A)
    await until(lambda: handler.running)
    queue.enqueue(A)
    queue.enqueue(A)
    handler.may_finish.set()
    await until(lambda: handler.calls == [A, A] and not handler.running)


async def test_the_concurrency_is_bounded(start):
    handler = Handler(wait_s=None)
    handler.may_finish.clear()
    queue = start(WorkQueue(handler, concurrency=2))
    for i in range(20):
        queue.enqueue(Key(f"team-{i % 2}", str(i)))
    await until(lambda: len(handler.running) == 2)
    handler.may_finish.set()
    await until(lambda: len(handler.calls) == 20 and not handler.running)
    assert handler.max_running == 2


async def test_a_key_without_a_delay_is_removed(start):
    handler = Handler(wait_s=None)
    queue = start(WorkQueue(handler, concurrency=2))
    queue.enqueue(A)
    await until(lambda: handler.calls == [A] and A not in queue)
    assert len(queue) == 0


async def test_a_bug_in_one_key_is_logged_and_stops_no_other_key(start, caplog):
    runs = []

    async def handler(key):
        runs.append(key)
        if key == A:
            raise KeyError("a bug")
        return 3600.0

    queue = start(WorkQueue(handler, concurrency=1))
    with caplog.at_level(logging.ERROR):
        queue.enqueue(A)
        queue.enqueue(B)
        await until(lambda: runs == [A, B])
    assert "bug: handling demo/a failed" in caplog.text
    assert A in queue, "it is handled again later"


@pytest.mark.parametrize("turns", range(4))
async def test_a_queue_that_is_run_again_keeps_its_keys_and_repeats_what_was_interrupted(start, turns):
    """`turns`: how far the handlers came. One that was cancelled before its first step has no chance to clean up."""
    handler = Handler()
    handler.may_finish.clear()
    queue = WorkQueue(handler, concurrency=1)
    queue.enqueue(A)
    queue.enqueue(B)
    first = asyncio.create_task(queue.run())
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first}, timeout=1)
    handler.calls.clear()
    handler.running.clear()
    handler.may_finish.set()
    start(queue)
    await until(lambda: handler.calls == [A, B] and not handler.running)


@pytest.mark.parametrize("turns", range(6))
async def test_a_key_enqueued_during_a_cancellation_does_not_swallow_it(turns):
    """A queue that swallows the cancellation never ends, and neither does the process."""
    queue = WorkQueue(Handler(), concurrency=1)
    running = asyncio.create_task(queue.run())
    for _ in range(10):
        await asyncio.sleep(0)
    queue.enqueue(A)
    for _ in range(turns):
        await asyncio.sleep(0)
    queue.enqueue(B)
    running.cancel()
    await asyncio.wait({running}, timeout=1)
    assert running.done()
    assert running.cancelled()


class Clock:
    """Time that a test sets; the queue does not run by itself."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def settle():
    for _ in range(8):
        await asyncio.sleep(0)


async def test_a_key_that_is_woken_all_the_time_is_handled_once_in_each_minimum_period(start):
    handler, clock = Handler(), Clock()
    queue = start(WorkQueue(handler, 4, Pace(min_repeat_s=2.0, wakes=WakeLimits(POLICIES, clock), now=clock)))
    for _ in range(500):  # 50 times a second, for 10 s
        clock.now += 0.02
        queue.enqueue(A)
        await settle()
    assert len(handler.calls) in (5, 6)


async def test_many_woken_keys_of_a_namespace_are_due_at_a_bounded_rate(start):
    handler, clock = Handler(), Clock()
    queue = start(WorkQueue(handler, 4, Pace(wakes=WakeLimits(POLICIES, clock), now=clock)))
    for i in range(100):
        queue.enqueue(Key("demo", str(i)))
    await until(lambda: len(handler.calls) == 50)
    await settle()
    assert len(handler.calls) == 50
    clock.now += 20
    queue.enqueue(Key("other", "x"))
    await until(lambda: len(handler.calls) == 61)


async def test_a_change_is_handled_before_new_keys_that_wait_in_turn(start):
    handler, clock = Handler(), Clock()
    queue = start(WorkQueue(handler, 1, Pace(wakes=WakeLimits(POLICIES, clock), now=clock)))
    queue.enqueue(A)
    await until(lambda: handler.calls == [A] and not handler.running)
    handler.may_finish.clear()
    for i in range(40):
        queue.enqueue(Key(f"team-{i}", "x"))
    await until(lambda: handler.running)
    queue.enqueue(A)
    handler.may_finish.set()
    await until(lambda: len(handler.calls) == 42)
    assert handler.calls[2] == A


async def test_each_lane_has_slots_of_its_own(start):
    handler = Handler()
    handler.may_finish.clear()
    queue = start(WorkQueue(handler, 2, Pace(lane_of=lambda key: "hangs" if key.name < "5" else "answers")))
    for i in range(10):
        queue.enqueue(Key(f"team-{i % 2}", str(i)))
    await until(lambda: len(handler.running) == 4)
    assert sorted(key.name for key in handler.running) == ["0", "1", "5", "6"]
    handler.may_finish.set()


async def test_a_key_that_is_removed_while_it_is_woken_leaves_nothing_behind(start):
    handler = Handler(wait_s=None)
    handler.may_finish.clear()
    queue = start(WorkQueue(handler, 2))
    queue.enqueue(A)
    await until(lambda: handler.running)
    queue.enqueue(A)
    handler.may_finish.set()
    await until(lambda: len(handler.calls) == 2 and A not in queue)
    assert not queue._heap
