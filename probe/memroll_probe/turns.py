"""One piece of work at a time, in a thread of its own: who asks for the same meanwhile gets the same answer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

# An answer that took a second is given again for ten: asking without a pause takes a tenth of the time.
REST = 10


class Turns(Generic[T]):
    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._running: dict[Hashable, Future[T]] = {}
        self._rests: dict[Hashable, tuple[float, Future[T]]] = {}

    def take(self, key: Hashable, work: Callable[[], T], *, rest: bool = False) -> Future[T]:
        """Return the work of this key that is under way or rests, or begin it. The keys must be few."""
        with self._lock:
            if (running := self._running.get(key)) is not None:
                return running
            until, rested = self._rests.get(key, (0.0, None))
            if rested is not None and time.monotonic() < until:
                return rested
            future = self._running[key] = Future[T]()
        future.set_running_or_notify_cancel()  # from here on, one who gives up waiting does not cancel it
        arguments = (key, work, future, REST if rest else 0)
        threading.Thread(target=self._work, args=arguments, name="memroll-probe-work", daemon=True).start()
        return future

    def _work(self, key: Hashable, work: Callable[[], T], future: Future[T], rest: int) -> None:
        try:
            with self._turn:
                began = time.monotonic()
                answer = work()
        except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
            self._done(key, None)
            future.set_exception(error)
        else:
            now = time.monotonic()
            self._done(key, (now + rest * (now - began), future))
            future.set_result(answer)

    def _done(self, key: Hashable, rests: tuple[float, Future[T]] | None) -> None:
        with self._lock:
            del self._running[key]
            self._rests.pop(key, None)
            if rests is not None:
                self._rests[key] = rests
