"""memroll's processes beside the model: each runs call by call, and can die or lose touch between any two.

A step of the operator is a coroutine that asks the API server for one thing after another. Here each call waits
at the door until the test lets it through, so other processes and the cluster can do whatever they like meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.clients.kube.cluster import Cluster
from memroll.clients.kube.pod_writes import EVICTION_EACH_S, EVICTIONS_AT_ONCE, Actions
from memroll.clients.kube.pods import Targets
from memroll.clients.kube.token_bucket import Bucket
from memroll.errors import ClusterUnavailable, MemrollError
from tests.model.api import ModelApi, carry_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from memroll.clients.kube.api_client import Answer, Call
    from tests.model.server import Server

TURNS = 5
"""How often the event loop turns until a step has asked for all that it asks for at once."""


@dataclass
class Process:
    """One process of memroll, which does one thing at a time."""

    name: str
    server: Server
    loop: asyncio.AbstractEventLoop
    doing: str = ""
    leads: bool = True
    troubles: list[MemrollError] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None
    _waiting: deque[tuple[Call, asyncio.Future[Answer]]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        api = ModelApi(self.server, self._at_the_door)
        self.cluster = Cluster(api)
        bucket = Bucket(EVICTIONS_AT_ONCE, EVICTION_EACH_S, lambda: self.server.seconds)
        self.cluster.evict = Actions(api, Targets(api), bucket).evict  # its bucket fills by the model's clock

    @property
    def busy(self) -> bool:
        return self._task is not None

    @property
    def writing(self) -> bool:
        """Whether what it asks for next is a write."""
        return bool(self._waiting) and self._waiting[0][0].method != "GET"

    def begin(self, doing: str, work: Callable[[Cluster], Awaitable[None]]) -> None:
        """Start to do something; nothing is asked of the server yet."""
        assert self._task is None

        async def run() -> None:
            try:
                await work(self.cluster)
            except MemrollError as trouble:  # as the loop around the passes does: told, and tried again later
                self.troubles.append(trouble)

        self.doing, self._task = doing, self.loop.create_task(run())
        self._turn()

    def ask(self) -> None:
        """Let one call through, and its answer back."""
        call, answered = self._waiting.popleft()
        answered.set_result(self._carried_out(call))
        self._turn()

    def ask_all(self, *, until_write: bool = False) -> None:
        """Let calls through until the work is done, or until it would write something."""
        while self.busy and not (until_write and self.writing):
            self.ask()

    def lose(self, *, landed: bool) -> None:
        """Let a call fail on its way there, or its answer on its way back."""
        call, answered = self._waiting.popleft()
        if landed:
            self._carried_out(call)
        answered.set_exception(ClusterUnavailable("Timeout", f"{call.method} {call.path}: no answer"))
        self._turn()

    def die(self, *, landed: bool) -> None:
        """Kill the process before or right after its next call is carried out."""
        if landed and self._waiting:
            self._carried_out(self._waiting[0][0])
        if self._task is not None:
            self._task.cancel()
            self._end()

    def _carried_out(self, call: Call) -> Answer:
        with self.server.acting(self.name):
            return carry_out(self.server, call)

    async def _at_the_door(self, call: Call) -> Answer:
        answered: asyncio.Future[Answer] = self.loop.create_future()
        self._waiting.append((call, answered))
        return await answered

    def _turn(self) -> None:
        """Go on to the next call, or to the end."""
        assert self._task is not None
        self.loop.run_until_complete(_turns())
        if self._task.done():
            task = self._task
            self._end()
            task.result()
        else:
            assert self._waiting, "a step waits for something that is no call"

    def _end(self) -> None:
        """Forget what was begun, with what it asked for beside a call that failed."""
        assert self._task is not None
        for _, answered in self._waiting:
            answered.cancel()
        self._waiting.clear()
        self.loop.run_until_complete(asyncio.wait([self._task]))
        self._task, self.doing = None, ""


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)
