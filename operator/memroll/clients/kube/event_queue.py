"""Bounded queue of Events: by priority, then the namespaces in turn. The event recorder uses it.

A full queue drops the newest Event of the lowest priority, of the namespace that has most of them: a flood of Events
drops its own, and none of a roll.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from memroll.reporting.events import EventPriority

if TYPE_CHECKING:
    from memroll.reporting.events import Event


class EventQueue:
    """Queue of at most `max_size` Events. `put` never blocks."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = 0
        self._unfinished = 0
        self._by_priority: dict[EventPriority, OrderedDict[str, deque[Event]]] = {
            p: OrderedDict() for p in EventPriority
        }
        self._not_empty = asyncio.Event()
        self._finished = asyncio.Event()

    def __len__(self) -> int:
        return self._size

    def put(self, event: Event) -> Event | None:
        """Add an Event; return the one that is dropped for it, perhaps this one, or None."""
        self._by_priority[event.priority].setdefault(event.regarding.namespace, deque()).append(event)
        self._size += 1
        self._unfinished += 1
        self._not_empty.set()
        self._finished.clear()
        return self._drop() if self._size > self._max_size else None

    async def get(self) -> Event:
        """Wait for an Event, and return it. `finish` must be called for each."""
        while not self._size:
            self._not_empty.clear()
            await self._not_empty.wait()
        namespaces = next(found for found in self._by_priority.values() if found)
        namespace, events = next(iter(namespaces.items()))
        event = events.popleft()
        namespaces.move_to_end(namespace)
        if not events:
            del namespaces[namespace]
        self._size -= 1
        return event

    def finish(self) -> None:
        """Count an Event as written, or as failed."""
        self._unfinished -= 1
        if not self._unfinished:
            self._finished.set()

    async def join(self) -> None:
        """Wait until all Events that were put are finished."""
        if self._unfinished:
            await self._finished.wait()

    def _drop(self) -> Event:
        namespaces = next(found for found in reversed(self._by_priority.values()) if found)
        namespace, events = max(namespaces.items(), key=lambda item: len(item[1]))
        dropped = events.pop()
        if not events:
            del namespaces[namespace]
        self._size -= 1
        self.finish()
        return dropped
