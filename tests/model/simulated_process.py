"""Simulated processes of memroll: each runs request by request, and can be killed or disconnected between any two.

A step of the operator is a coroutine that sends one request after another. Here each request waits until the test
executes it, so that other processes and the cluster can change anything in between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.pod_writes import EVICTION_BURST, EVICTION_INTERVAL_S, KubePodWriter
from memroll.clients.kube.pods import KubePodReader
from memroll.clients.kube.token_bucket import TokenBucket
from memroll.errors import ClusterUnavailableError, MemrollError
from memroll.reconcile.step_memory import StepMemory
from tests.model.api_client import ModelApi, execute

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from memroll.clients.kube.api_client import ApiRequest, ApiResponse
    from tests.model.api_server import ModelApiServer

LOOP_ITERATIONS = 5
"""Number of iterations of the event loop in which a step sends all of its concurrent requests."""
THREAD_TIMEOUT_S = 30.0
"""Maximum time in seconds that a step may wait for a thread."""


class BugError(Exception):
    """Unexpected exception: none of memroll's own errors."""


@dataclass
class SimulatedProcess:
    """Process of memroll that runs one step at a time."""

    name: str
    server: ModelApiServer
    loop: asyncio.AbstractEventLoop
    step: str = ""
    is_leader: bool = True
    errors: list[MemrollError] = field(default_factory=list)
    memory: StepMemory = field(default_factory=StepMemory)
    broken: str = ""
    """Name of the client's method that has a bug."""
    _mend: Callable[[], None] = lambda: None
    _task: asyncio.Task[None] | None = None
    _has_request: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: deque[tuple[ApiRequest, asyncio.Future[ApiResponse]]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        api = ModelApi(self.server, self._wait_for_turn)
        self.cluster = KubeCluster(api)
        bucket = TokenBucket(EVICTION_BURST, EVICTION_INTERVAL_S, lambda: self.server.seconds)
        # A token bucket by the model's clock.
        self.cluster.evict = KubePodWriter(api, KubePodReader(api), bucket).evict

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    @property
    def is_about_to_write(self) -> bool:
        """Return whether the next request is a write."""
        return bool(self._waiting) and self._waiting[0][0].method != "GET"

    def begin(self, step: str, action: Callable[[KubeCluster], Awaitable[None]]) -> None:
        """Start a step, without executing a request."""
        assert self._task is None

        async def run() -> None:
            try:
                await action(self.cluster)
            except MemrollError as error:  # recorded, and retried later, as the work queue does
                self.errors.append(error)

        self.step, self._task = step, self.loop.create_task(run())
        self._run_loop()

    def send_next(self) -> None:
        """Execute the next request, and return its response to the step."""
        request, response = self._waiting.popleft()
        response.set_result(self._execute(request))
        self._run_loop()

    def send_all(self, *, until_write: bool = False) -> None:
        """Execute requests until the step ends, or until its next write."""
        while self.is_busy and not (until_write and self.is_about_to_write):
            self.send_next()

    def lose_next(self, *, executed: bool) -> None:
        """Lose the next request, or its response after the execution."""
        request, response = self._waiting.popleft()
        if executed:
            self._execute(request)
        response.set_exception(ClusterUnavailableError("Timeout", f"{request.method} {request.path}: no response"))
        self._run_loop()

    def break_method(self, name: str, *, executed: bool) -> None:
        """Let each call of a client's method end with a bug, before or after its effect, until `mend`."""
        self.mend()
        original = getattr(self.cluster, name)

        async def raise_bug(*args: Any, **kwargs: Any) -> None:
            if executed:
                await original(*args, **kwargs)
            raise BugError(name)

        self.broken, self._mend = name, lambda: setattr(self.cluster, name, original)
        setattr(self.cluster, name, raise_bug)

    def mend(self) -> None:
        """Remove the bug, as a new version of memroll does."""
        if self.broken:
            self._mend()
        self.broken = ""

    def kill(self, *, executed: bool) -> None:
        """Kill the process before or right after the execution of its next request."""
        self.memory = StepMemory()
        if executed and self._waiting:
            self._execute(self._waiting[0][0])
        if self._task is not None:
            self._task.cancel()
            self._finish()

    def _execute(self, request: ApiRequest) -> ApiResponse:
        with self.server.act_as(self.name):
            return execute(self.server, request)

    async def _wait_for_turn(self, request: ApiRequest) -> ApiResponse:
        response: asyncio.Future[ApiResponse] = self.loop.create_future()
        self._waiting.append((request, response))
        self._has_request.set()
        return await response

    def _run_loop(self) -> None:
        """Run the step until its next request, or to its end."""
        assert self._task is not None
        self.loop.run_until_complete(self._iterate())
        if self._task.done():
            task = self._task
            self._finish()
            task.result()
        else:
            assert self._waiting, "a step waits for something other than a request"

    async def _iterate(self) -> None:
        """Run the loop until the step waits for a request, or has ended. Evidence is redacted in a thread."""
        assert self._task is not None
        if not self._waiting:
            self._has_request.clear()
            request = asyncio.create_task(self._has_request.wait())
            await asyncio.wait({self._task, request}, timeout=THREAD_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            request.cancel()
        for _ in range(LOOP_ITERATIONS):
            await asyncio.sleep(0)

    def _finish(self) -> None:
        """End the step, and cancel its requests that are not executed yet."""
        assert self._task is not None
        for _, response in self._waiting:
            response.cancel()
        self._waiting.clear()
        self.loop.run_until_complete(asyncio.wait([self._task]))
        self._task, self.step = None, ""
