"""Event loop with virtual time: waiting takes no real time, and the order of events does not depend on the machine."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

T = TypeVar("T")
SLICE_S = 0.01
"""Time slice of the simulated processor."""


class _Selector(selectors.SelectSelector):
    """Selector that advances the time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("nothing will ever happen: all tasks wait for each other")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Event loop whose time is virtual. What runs in a thread elsewhere runs at once, and takes no time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
            future.set_exception(error)
        return future


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


class Processor:
    """One processor core that all tasks share, each a slice at a time, as Python's threads and tasks do."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.busy_s = 0.0

    async def use(self, seconds: float) -> None:
        left_s = seconds
        while left_s > 0:
            async with self._lock:
                await asyncio.sleep(min(SLICE_S, left_s))
            left_s -= SLICE_S
        self.busy_s += seconds

    @asynccontextmanager
    async def call(self, wait_s: float, use_s: float) -> AsyncIterator[None]:
        """Simulate a request: it waits for the server, then its response is decoded."""
        await asyncio.sleep(wait_s)
        await self.use(use_s)
        yield
