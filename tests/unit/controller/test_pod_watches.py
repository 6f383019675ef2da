"""Watches of pods: which changes wake a roll, how often, and what happens to a watch that fails or is not needed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from memroll.clients.kube.pod_watch import PodChange
from memroll.controller import pod_watches
from memroll.controller.pod_watches import MAX_WATCHES, WAKE_BURST, PodWatches, Watched
from memroll.errors import ClusterUnavailableError, TerminalError
from tests.builders import container, pod

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

CHAT = Watched("demo", "app=chat")
OLD = "uid-old"


class Source:
    """Watch that yields what the test puts into a queue, and raises the errors in it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[PodChange | Exception] = asyncio.Queue()
        self.started: list[Watched] = []
        self.stopped = 0

    async def watch_pods(self, namespace: str, selector: str) -> AsyncGenerator[PodChange]:
        self.started.append(Watched(namespace, selector))
        try:
            while True:
                item = await self.queue.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.stopped += 1


class Woken(list[str]):
    """Names of the rolls that were woken."""

    def wake(self, namespace: str, roll: str) -> None:
        assert namespace == "demo"
        self.append(roll)


def followed(clock=lambda: 0.0) -> tuple[PodWatches, Woken]:
    woken = Woken()
    watches = PodWatches(Source(), woken.wake, clock)
    watches.follow(*CHAT[:1], "roll", CHAT.selector, OLD)
    return watches, woken


@asynccontextmanager
async def running(watches: PodWatches) -> AsyncIterator[None]:
    task = asyncio.create_task(watches.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("before", "after", "wakes"),
    [
        ({"ready": False}, {"ready": True}, True),
        ({"ready": True}, {"ready": False}, True),
        ({"ready": True}, {"ready": True, "deleting": True}, True),
        ({"ready": False}, {"ready": False, "unschedulable": True}, True),
        ({"ready": True}, {"ready": True, "phase": "Failed"}, True),
        ({"ready": True}, {"ready": True, "labels": {"a": "b"}, "resource_version": "9"}, False),
        ({"ready": False, "phase": "Pending"}, {"ready": False, "phase": "Running"}, False),
    ],
)
async def test_a_roll_is_woken_by_what_it_may_wait_for_of_other_pods(before, after, wakes):
    watches, woken = followed()
    other = pod("new", phase="Running")
    watches.handle(CHAT, PodChange(replace(other, **before), is_deleted=False))
    woken.clear()
    watches.handle(CHAT, PodChange(replace(other, **after), is_deleted=False))
    assert woken == (["roll"] if wakes else [])


async def test_a_roll_is_woken_by_the_end_and_by_a_restart_of_its_own_pod_but_not_by_what_it_does_itself():
    watches, woken = followed()
    own = replace(pod("old", containers=(container(),)), ready=True)
    restarted = replace(own, containers=(container(restarts=1),))
    for changed in (own, replace(own, controller=None), replace(own, controller=None, deleting=True)):
        watches.handle(CHAT, PodChange(changed, is_deleted=False))
    assert woken == []
    watches.handle(CHAT, PodChange(restarted, is_deleted=False))
    watches.handle(CHAT, PodChange(restarted, is_deleted=True))
    assert woken == ["roll", "roll"]


async def test_a_roll_is_woken_when_its_pod_is_adopted_and_when_another_one_is_deleted():
    watches, woken = followed()
    owned, other = pod("old"), pod("new", ready=False)
    for found in (owned, replace(owned, controller=None), other):
        watches.handle(CHAT, PodChange(found, is_deleted=False))
    assert woken == []
    watches.handle(CHAT, PodChange(owned, is_deleted=False))
    assert woken == ["roll"]
    watches.handle(CHAT, PodChange(other, is_deleted=True))
    assert woken == ["roll", "roll"]


async def test_pods_that_change_all_the_time_wake_a_roll_seldom(monkeypatch):
    monkeypatch.setattr(pod_watches, "WAKE_INTERVAL_S", 0.01)
    watches, woken = followed()
    for number in range(200):
        watches.handle(CHAT, PodChange(pod("flapping", ready=bool(number % 2)), is_deleted=False))
    assert len(woken) == WAKE_BURST
    await asyncio.sleep(0.05)
    assert len(woken) == WAKE_BURST + 1, "the last change is not lost"


async def test_there_is_one_watch_for_the_rolls_of_a_workload_until_none_needs_it():
    source, woken = Source(), Woken()
    watches = PodWatches(source, woken.wake)
    assert not watches.follow("demo", "one", CHAT.selector, OLD), "not connected yet"
    watches.follow("demo", "two", CHAT.selector, OLD)
    async with running(watches):
        for ready in (False, True):
            source.queue.put_nowait(PodChange(pod("new", ready=ready), is_deleted=False))
        await turns()
        assert watches.follow("demo", "one", CHAT.selector, OLD)
        assert (source.started, sorted(woken)) == ([CHAT], ["one", "two"])
        watches.forget("demo", "one")
        await turns()
        assert source.stopped == 0
        watches.forget("demo", "two")
        await turns()
        assert source.stopped == 1


async def test_the_pods_with_which_a_watch_begins_wake_no_roll_and_later_ones_do():
    now = [0.0]
    watches, woken = followed(lambda: now[0])
    for name in ("old", "other"):
        watches.handle(CHAT, PodChange(pod(name, ready=True), is_deleted=False))
    assert woken == []
    now[0] = pod_watches.SYNC_S
    watches.handle(CHAT, PodChange(pod("new", ready=True), is_deleted=False))
    assert woken == ["roll"]


async def test_a_roll_that_no_longer_makes_steps_is_forgotten(monkeypatch):
    monkeypatch.setattr(pod_watches, "TICK_S", 0.001)
    now = [0.0]
    source = Source()
    watches = PodWatches(source, Woken().wake, lambda: now[0])
    watches.follow("demo", "roll", CHAT.selector, OLD)
    async with running(watches):
        await turns()
        now[0] = pod_watches.KEPT_S + 1
        await asyncio.sleep(0.05)
        assert (len(source.started), source.stopped) == (1, 1)


@pytest.mark.parametrize("error", [ClusterUnavailableError("Unreachable", "reset"), TerminalError("Forbidden", "no")])
async def test_while_a_watch_fails_the_roll_must_poll(error, monkeypatch):
    monkeypatch.setattr(pod_watches, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(pod_watches, "MAX_PAUSE_S", 0.02)
    source = Source()
    watches = PodWatches(source, Woken().wake)
    watches.follow("demo", "roll", CHAT.selector, OLD)
    async with running(watches):
        source.queue.put_nowait(PodChange(pod("new"), is_deleted=False))
        await turns()
        assert watches.follow("demo", "roll", CHAT.selector, OLD)
        source.queue.put_nowait(error)
        await turns()
        assert not watches.follow("demo", "roll", CHAT.selector, OLD)
        await asyncio.sleep(0.1)
        assert len(source.started) == 2, "it is started again"


async def test_the_number_of_watches_is_bounded():
    watches = PodWatches(Source(), Woken().wake)
    for number in range(2 * MAX_WATCHES):
        watches.follow("demo", f"roll-{number}", f"app={number}", OLD)
    async with running(watches):
        await turns()
        assert len(watches._source.started) == MAX_WATCHES
