"""Work queue with due times, requeues and bounded concurrency.

Keys go in, calls of a handler come out: the queue decides when, the handler decides what. Keys are names of objects,
and each handler call reads its object again, so an enqueued key carries no state and a lost one costs only time: the
resync finds every object again.
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

AFTER_BUG_S = 30.0
"""Delay in seconds until a key is handled again after an unexpected exception, chosen by hand. The policy controller
uses the same."""


class Key(NamedTuple):
    """Namespace and name of a MemoryPolicy or a PodRoll."""

    namespace: str
    name: str


@dataclass(slots=True)
class _Entry:
    due: float
    running: bool = False
    requeued: bool = False
    """True if the key was enqueued while its handler ran: the handler is called again immediately."""


class WorkQueue:
    """Calls `handler` for each key when the key is due, never concurrently for one key.

    `handler` returns the seconds until the key is due again, or None to remove the key. An exception that it raises is
    a bug: it is logged, and delays only this key.
    """

    def __init__(self, handler: Callable[[Key], Awaitable[float | None]], concurrency: int) -> None:
        self._handler = handler
        self._concurrency = concurrency
        self._entries: dict[Key, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def enqueue(self, key: Key) -> None:
        """Handle this key as soon as the concurrency allows; add it if it is new."""
        entry = self._entries.setdefault(key, _Entry(due=0.0))
        if entry.running:
            entry.requeued = True
        else:
            entry.due = 0.0
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
        interrupted = [entry for entry in self._entries.values() if entry.running]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for entry in interrupted:  # a handler that was cancelled before its first step has reset nothing itself
            entry.due, entry.running, entry.requeued = 0.0, False, False

    def _start_due(self) -> None:
        now = time.monotonic()
        ready = sorted((e.due, k) for k, e in self._entries.items() if not e.running and e.due <= now)
        for _, key in ready[: self._concurrency - len(self._tasks)]:
            self._entries[key].running = True
            task = asyncio.create_task(self._handle(key), name=f"{key.namespace}/{key.name}")
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _handle(self, key: Key) -> None:
        started = time.monotonic()
        wait_s: float | None = AFTER_BUG_S
        try:
            wait_s = await self._handler(key)
        except Exception:
            logger.exception("bug: handling %s/%s failed", key.namespace, key.name)
        finally:
            entry = self._entries[key]
            if wait_s is None and not entry.requeued:
                del self._entries[key]
            else:
                entry.due = 0.0 if entry.requeued else started + (wait_s or 0.0)
                entry.running = entry.requeued = False

    def _until_next_s(self) -> float | None:
        """Return the seconds until a key is due; None if only a change can make one due."""
        if len(self._tasks) >= self._concurrency:
            return None
        dues = [e.due for e in self._entries.values() if not e.running]
        return max(0.0, min(dues) - time.monotonic()) if dues else None
