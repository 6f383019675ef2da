"""The supervised reconcile loop: due times, wake-ups, bounded concurrency. It decides when, never what.

Keys are objects by name; every piece of work reads its object afresh, so a wake-up carries no state and a
lost one costs only time: a resync finds everything again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

AFTER_A_BUG_S = 30.0


class Key(NamedTuple):
    """The name of a policy or of a roll."""

    namespace: str
    name: str


@dataclass(slots=True)
class _Slot:
    due: float
    running: bool = False
    woken: bool = False
    """Woken while it ran: run again right after."""


class Schedule:
    """Runs `work` for each known key when it is due, never twice at once for one key.

    `work` returns the seconds until its next run, or None to forget the key. An exception that gets out of it
    is a bug: it is logged, and only this key waits.
    """

    def __init__(self, work: Callable[[Key], Awaitable[float | None]], at_once: int) -> None:
        self._work = work
        self._at_once = at_once
        self._slots: dict[Key, _Slot] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._slots)

    def knows(self, key: Key) -> bool:
        return key in self._slots

    def wake(self, key: Key) -> None:
        """Run this key's work as soon as there is room; a new key becomes known."""
        slot = self._slots.setdefault(key, _Slot(due=0.0))
        if slot.running:
            slot.woken = True
        else:
            slot.due = 0.0
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled; work under way is cancelled with it."""
        try:
            while True:
                self._changed.clear()
                self._start_due()
                with suppress(TimeoutError):  # not wait_for: on Python 3.11 it may swallow a cancellation
                    async with asyncio.timeout(self._until_next_s()):
                        await self._changed.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_due(self) -> None:
        now = time.monotonic()
        ready = sorted((s.due, k) for k, s in self._slots.items() if not s.running and s.due <= now)
        for _, key in ready[: self._at_once - len(self._tasks)]:
            self._slots[key].running = True
            task = asyncio.create_task(self._run_one(key), name=f"{key.namespace}/{key.name}")
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _run_one(self, key: Key) -> None:
        started = time.monotonic()
        wait_s: float | None = AFTER_A_BUG_S
        try:
            wait_s = await self._work(key)
        except Exception:
            logger.exception("a bug: work on %s/%s failed", key.namespace, key.name)
        finally:
            slot = self._slots[key]
            if wait_s is None and not slot.woken:
                del self._slots[key]
            else:
                slot.due = 0.0 if slot.woken else started + (wait_s or 0.0)
                slot.running = slot.woken = False

    def _until_next_s(self) -> float | None:
        """Seconds until something is due; None: until something changes."""
        if len(self._tasks) >= self._at_once:
            return None
        dues = [s.due for s in self._slots.values() if not s.running]
        return max(0.0, min(dues) - time.monotonic()) if dues else None


async def supervise(tasks: dict[str, Awaitable[None]]) -> str:
    """Run the tasks until the first one ends; cancel the others and return the name of the one that ended.

    A background task that dies must not leave a process that looks alive: its exception gets out of here.
    """
    running = {asyncio.ensure_future(task): name for name, task in tasks.items()}
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        first = done.pop()
        first.result()
        return running[first]
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
