"""Single-flight executor: concurrent calls with one key share one result, and different keys run one after the other.

Called by the endpoint, so that many clients cost no more than one.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

CACHE_TTL_RATIO = 10
"""Cache TTL as a multiple of the duration of the work: requests without a pause take a tenth of the time.

Chosen by hand.
"""


class SingleFlight(Generic[T]):
    def __init__(self) -> None:
        self._lock, self._work_lock = threading.Lock(), threading.Lock()
        self._running: dict[Hashable, Future[T]] = {}
        self._cached: dict[Hashable, tuple[float, Future[T]]] = {}

    def run(self, key: Hashable, work: Callable[[], T], *, cache: bool = False) -> Future[T]:
        """Return the running or cached result of this key, or start the work in a thread. Keys must be few.

        `cache`: keep the result for CACHE_TTL_RATIO times its duration.
        """
        with self._lock:
            if (running := self._running.get(key)) is not None:
                return running
            expires_at, cached = self._cached.get(key, (0.0, None))
            if cached is not None and time.monotonic() < expires_at:
                return cached
            future = self._running[key] = Future[T]()
        future.set_running_or_notify_cancel()  # from here on, a caller that stops waiting does not cancel it
        arguments = (key, work, future, CACHE_TTL_RATIO if cache else 0)
        threading.Thread(target=self._work, args=arguments, name="memroll-probe-work", daemon=True).start()
        return future

    def _work(self, key: Hashable, work: Callable[[], T], future: Future[T], ttl_ratio: int) -> None:
        try:
            with self._work_lock:
                began_at = time.monotonic()
                result = work()
        except BaseException as error:  # noqa: BLE001 - raised in the threads that wait for the future
            self._finish(key, None)
            future.set_exception(error)
        else:
            now = time.monotonic()
            self._finish(key, (now + ttl_ratio * (now - began_at), future))
            future.set_result(result)

    def _finish(self, key: Hashable, cached: tuple[float, Future[T]] | None) -> None:
        with self._lock:
            del self._running[key]
            self._cached.pop(key, None)
            if cached is not None:
                self._cached[key] = cached
