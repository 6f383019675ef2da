"""Order of Events, and those that a full queue drops."""

from __future__ import annotations

import asyncio

from memroll.clients.kube.event_queue import EventQueue
from memroll.reporting.events import Event, EventReason, EventType, Regarding


def event(namespace: str, name: str, reason: EventReason = EventReason.LEAK_SUSPECTED, kind: str = "Pod") -> Event:
    return Event(Regarding("v1", kind, namespace, name, name), EventType.NORMAL, reason, "text")


async def names(queue: EventQueue) -> list[str]:
    """Take all Events, and return the names of their objects."""
    return [(await queue.get()).regarding.name for _ in range(len(queue))]


async def test_events_of_rolls_come_first_then_those_of_policies():
    queue = EventQueue(10)
    queue.put(event("a", "pod"))
    queue.put(event("a", "policy", EventReason.POLICY_INVALID, "MemoryPolicy"))
    queue.put(event("a", "rolled-pod", EventReason.POD_ROLLED))
    assert await names(queue) == ["rolled-pod", "policy", "pod"]


async def test_namespaces_are_written_in_turn():
    queue = EventQueue(10)
    for i in range(4):
        queue.put(event("flood", f"f{i}"))
    queue.put(event("other", "o0"))
    queue.put(event("other", "o1"))
    assert await names(queue) == ["f0", "o0", "f1", "o1", "f2", "f3"]


async def test_a_full_queue_drops_from_the_namespace_with_most_events_of_the_lowest_priority():
    queue = EventQueue(5)
    for i in range(3):
        assert queue.put(event("flood", f"f{i}")) is None
    queue.put(event("other", "o0"))
    queue.put(event("flood", "r0", EventReason.ROLL_ANNOUNCED))
    dropped = [queue.put(e) for e in (event("other", "o1"), event("other", "r1", EventReason.ROLL_FAILED))]
    assert [e.regarding.name for e in dropped if e] == ["f2", "f1"]
    assert await names(queue) == ["r0", "r1", "f0", "o0", "o1"]


async def test_a_flood_of_events_of_rolls_drops_its_own():
    queue = EventQueue(3)
    for i in range(3):
        queue.put(event("flood", f"f{i}", EventReason.ROLL_ANNOUNCED))
    dropped = queue.put(event("other", "o0", EventReason.ROLL_ANNOUNCED))
    assert dropped is not None
    assert dropped.regarding.name == "f2"
    assert await names(queue) == ["f0", "o0", "f1"]


async def test_it_is_joined_when_each_event_is_finished_or_dropped():
    queue = EventQueue(1)
    queue.put(event("a", "kept"))
    queue.put(event("a", "dropped"))
    await queue.get()
    joined = asyncio.ensure_future(queue.join())
    await asyncio.sleep(0)
    assert not joined.done()
    queue.finish()
    await asyncio.wait_for(joined, 1)
