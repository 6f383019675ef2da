"""Work queue with due times, requeues and bounded concurrency, fair to namespaces.

Keys go in, calls of a handler come out: the queue decides when, the handler decides what. Keys are names of objects,
and each handler call reads its object again, so an enqueued key carries no state and a lost one costs only time: the
resync finds every object again. Design note 0026 has the reasons for the order.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import ceil
from typing import TYPE_CHECKING

from memroll.controller.fair_turns import FairTurns
from memroll.controller.wake_limits import Wake

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from memroll.controller.key import Key
    from memroll.controller.wake_limits import WakeLimits

logger = logging.getLogger(__name__)

AFTER_BUG_S = 30.0
"""Delay in seconds until a key is handled again after an unexpected exception, chosen by hand. The policy controller
uses the same."""


@dataclass(slots=True)
class _Entry:
    """State of a key: it waits for its time, then for its turn, then its handler runs."""

    due: float = float("inf")
    started: float = float("-inf")
    ticket: int = -1
    """Number of the entry in the heap that counts; earlier ones are stale."""
    lane: str = ""
    in_turn: bool = False
    running: bool = False
    woken: bool = False
    """True from a wake until the handler starts: further wakes change nothing."""
    first: bool = False
    """True if the key was woken and is handled before those that wait in turn."""
    requeued: bool = False
    """True if the key was enqueued while its handler ran."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Limits of a work queue beyond its concurrency, and its clock."""

    min_repeat_s: float = 0.0
    """Minimum time in seconds between two starts of a key that is woken again and again."""
    wakes: WakeLimits | None = None
    """Limits of the wakes of each namespace; None: there are none."""
    namespace_ratio: float = 0.5
    """Maximum ratio of the slots that one namespace has at once; at least one slot."""
    max_per_turn: int = 1
    """Maximum number of keys that a namespace starts in one turn."""
    lane_of: Callable[[Key], str] = lambda _: ""
    """Return the lane of a key. Each lane has `concurrency` slots of its own."""
    now: Callable[[], float] = time.monotonic


UNPACED = Pace()
"""Pace without limits, and with one lane."""


class WorkQueue:
    """Calls `handler` for each key when the key is due, never concurrently for one key.

    `handler` returns the seconds until the key is due again, or None to remove the key. An exception that it raises is
    a bug: it is logged, and delays only this key. Due keys start in the turns of their namespaces, and a namespace has
    a part of the slots at most.
    """

    def __init__(
        self, handler: Callable[[Key], Awaitable[float | None]], concurrency: int, pace: Pace = UNPACED
    ) -> None:
        self._handler = handler
        self._concurrency = concurrency
        self._pace = pace
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._tickets = count()
        self._lanes: dict[str, FairTurns] = {}
        self._tasks: set[asyncio.Task[float | None]] = set()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def enqueue(self, key: Key) -> None:
        """Handle this key before its time; add it if it is new."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.running:
            entry.requeued = True
        elif not entry.woken:
            self._wake(key, entry)
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled; running handlers are cancelled as well. Keys are kept for the next run."""
        try:
            while True:
                self._changed.clear()
                self._start_due()
                with suppress(TimeoutError):  # not wait_for: on Python 3.11 it may swallow a cancellation
                    async with asyncio.timeout(self._until_next_s()):
                        await self._changed.wait()
        finally:
            await self._cancel_handlers()

    async def _cancel_handlers(self) -> None:
        """Cancel the running handlers; their keys are due at once when the queue is run again."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self, key: Key, entry: _Entry) -> None:
        """Let the key be due now, or as soon as its pace permits."""
        pace = self._pace
        wake = Wake() if pace.wakes is None else pace.wakes.admit(key.namespace, is_new=entry.started == float("-inf"))
        entry.woken, entry.first = True, wake.first
        if entry.in_turn:
            self._lane(entry.lane).add(key, first=entry.first)
            return
        due = max(pace.now() + wake.delay_s, entry.started + pace.min_repeat_s)
        self._schedule(key, entry, min(entry.due, due))

    def _schedule(self, key: Key, entry: _Entry, due: float) -> None:
        entry.due, entry.ticket = due, next(self._tickets)
        heapq.heappush(self._heap, (due, entry.ticket, key))

    def _lane(self, name: str) -> FairTurns:
        if name not in self._lanes:
            share = max(1, ceil(self._concurrency * self._pace.namespace_ratio))
            self._lanes[name] = FairTurns(self._concurrency, share, self._pace.max_per_turn)
        return self._lanes[name]

    def _start_due(self) -> None:
        now = self._pace.now()
        while self._heap and self._heap[0][0] <= now:
            _, ticket, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is not None and entry.ticket == ticket:
                entry.in_turn, entry.lane = True, self._pace.lane_of(key)
                self._lane(entry.lane).add(key, first=entry.first)
        for lane in self._lanes.values():
            while (key_or_none := lane.start_next()) is not None:
                self._start(key_or_none, lane, now)

    def _start(self, key: Key, lane: FairTurns, now: float) -> None:
        entry = self._entries[key]
        entry.running, entry.in_turn, entry.woken, entry.started = True, False, False, now
        task = asyncio.create_task(self._handle(key), name=f"{key.namespace}/{key.name}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, key, lane))

    async def _handle(self, key: Key) -> float | None:
        try:
            return await self._handler(key)
        except Exception:
            logger.exception("bug: handling %s/%s failed", key.namespace, key.name)
            return AFTER_BUG_S

    def _finished(self, key: Key, lane: FairTurns, task: asyncio.Task[float | None]) -> None:
        """Free the slot of a key, and let it wait for its next time. A cancelled handler is called again at once."""
        self._tasks.discard(task)
        self._changed.set()
        lane.finish(key)
        entry, wait_s = self._entries[key], 0.0 if task.cancelled() else task.result()
        requeued, entry.running, entry.requeued = entry.requeued, False, False
        if wait_s is None and not requeued:
            del self._entries[key]
            return
        # One that was interrupted is first, one that was moved to another lane keeps its place.
        entry.first = task.cancelled() or (entry.first and wait_s == 0.0)
        entry.due = float("inf") if wait_s is None else entry.started + wait_s
        if requeued and not task.cancelled():
            self._wake(key, entry)
        else:
            self._schedule(key, entry, entry.due)

    def _until_next_s(self) -> float | None:
        """Return the seconds until a key is due; None if only a change can make one due."""
        return max(0.0, self._heap[0][0] - self._pace.now()) if self._heap else None
