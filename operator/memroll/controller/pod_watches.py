"""Watches of the pods of workloads with rolls in progress: a roll is woken when a pod changes that it waits for.

Each step of a roll calls `follow`; `run` is a background task that keeps one watch for each namespace and selector with
a roll, and wakes the rolls. Nothing is decided here. A lost event or a watch that is not permitted costs only time: the
roll polls. Wakes are limited, so that a workload whose pods change all the time causes no more requests than polling.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from memroll.clients.kube.token_bucket import TokenBucket
from memroll.errors import MemrollError, TerminalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from memroll.clients.kube.pod_watch import PodChange
    from memroll.model.pods import Pod

logger = logging.getLogger(__name__)

MAX_WATCHES = 32
"""Maximum number of watches at once: a third of the connections to the API server. Rolls of other workloads poll."""
KEPT_S = 120.0
"""Seconds for which a roll is followed after its last step: several times the longest pause between two steps."""
FIRST_PAUSE_S = 1.0
"""Pause in seconds after a watch that failed, doubled for each further failure. Chosen by hand."""
MAX_PAUSE_S = 60.0
"""Maximum pause in seconds after a watch that failed; also the pause after one that is forbidden. Chosen by hand."""
SYNC_S = 1.0
"""Seconds from the first change of a watch in which all pods arrive in their present state. They wake no roll: the
step that has begun the watch has read them. Chosen by hand."""
WAKE_BURST = 6
"""Number of wakes of a roll at once. A common roll has three: Ready, gone, and one for the start."""
WAKE_INTERVAL_S = 5.0
"""Seconds per wake of a roll after that burst; chosen by hand."""
TICK_S = 30.0
"""Seconds between two searches for rolls that are no longer followed; chosen by hand."""


class PodChangeSource(Protocol):
    """Watches pods, as `clients.kube.pod_watch` does."""

    def watch_pods(self, namespace: str, selector: str) -> AsyncGenerator[PodChange]: ...


class Watched(NamedTuple):
    """Pods that one watch is about."""

    namespace: str
    selector: str


class _PodState(NamedTuple):
    """Part of a pod's state that a roll may wait for: of its own pod, which it releases itself, and of others."""

    own: tuple[object, ...]
    other: tuple[object, ...]
    controller: str = ""


NO_POD = _PodState((False, 0), (False, False, False), "unknown")
"""State of a pod that does not exist: a new one matters once it is Ready, or has no node."""


@dataclass(slots=True)
class _Follower:
    pod_uid: str
    until_s: float
    bucket: TokenBucket
    is_delayed: bool = False
    """True while a wake waits for the limit."""


@dataclass(slots=True)
class _Watch:
    followers: dict[str, _Follower] = field(default_factory=dict)
    """By the name of the roll."""
    states: dict[str, _PodState] = field(default_factory=dict)
    """State of each pod, by uid."""
    is_connected: bool = False
    began_s: float | None = None
    """Time of the first change; None before it."""
    task: asyncio.Task[None] | None = None


class PodWatches:
    """Watches for all rolls of this process."""

    def __init__(
        self,
        source: PodChangeSource,
        wake: Callable[[str, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._wake, self._monotonic = source, wake, monotonic
        self._watches: dict[Watched, _Watch] = {}
        self._changed = asyncio.Event()

    def follow(self, namespace: str, roll: str, selector: str, pod_uid: str) -> bool:
        """Wake a roll when a pod changes that it waits for; return whether the pods are being watched."""
        watched = Watched(namespace, selector)
        if watched not in self._watches:
            if len(self._watches) >= MAX_WATCHES:
                return False
            self._watches[watched] = _Watch()
            self._changed.set()
        watch, until_s = self._watches[watched], self._monotonic() + KEPT_S
        if roll in watch.followers:
            watch.followers[roll].until_s = until_s
        else:
            bucket = TokenBucket(WAKE_BURST, WAKE_INTERVAL_S, self._monotonic)
            watch.followers[roll] = _Follower(pod_uid, until_s, bucket)
        return watch.is_connected

    def forget(self, namespace: str, roll: str) -> None:
        """No longer wake a roll; its watch ends unless another roll needs it."""
        for watched, watch in self._watches.items():
            if watched.namespace == namespace and watch.followers.pop(roll, None) is not None:
                self._changed.set()

    async def run(self) -> None:
        """Keep the watches until cancelled."""
        try:
            while True:
                self._changed.clear()
                self._start_and_stop()
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._changed.wait()
        finally:
            tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
            for watch in self._watches.values():
                self._stop(watch)
            await asyncio.gather(*tasks, return_exceptions=True)

    def handle(self, watched: Watched, change: PodChange) -> None:
        """Wake the rolls that wait for such a change."""
        watch, pod = self._watches.get(watched), change.pod
        if watch is None:
            return
        now_s = self._monotonic()
        watch.began_s = now_s if watch.began_s is None else watch.began_s
        if pod.key.uid not in watch.states and not change.is_deleted and now_s < watch.began_s + SYNC_S:
            watch.states[pod.key.uid] = _state(pod)
            return
        old, new = watch.states.pop(pod.key.uid, NO_POD), NO_POD if change.is_deleted else _state(pod)
        if not change.is_deleted:
            watch.states[pod.key.uid] = new
        for name, follower in watch.followers.items():
            is_own = pod.key.uid == follower.pod_uid
            is_adopted = is_own and not old.controller and bool(new.controller)
            if change.is_deleted or is_adopted or (old.own != new.own if is_own else old.other != new.other):
                self._wake_within_limit(watched.namespace, name, follower)

    def _start_and_stop(self) -> None:
        now_s = self._monotonic()
        for watched, watch in list(self._watches.items()):
            watch.followers = {name: f for name, f in watch.followers.items() if f.until_s > now_s}
            if not watch.followers:
                self._stop(watch)
                del self._watches[watched]
            elif watch.task is None or watch.task.done():
                watch.task = asyncio.create_task(self._keep(watched, watch), name=f"pods of {watched.namespace}")

    @staticmethod
    def _stop(watch: _Watch) -> None:
        watch.is_connected = False
        if watch.task is not None:
            watch.task.cancel()
            watch.task = None

    async def _keep(self, watched: Watched, watch: _Watch) -> None:
        """Watch again and again, until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._watch_once(watched, watch)
                pause_s = FIRST_PAUSE_S
            except MemrollError as error:
                is_forbidden = isinstance(error, TerminalError)
                pause_s = MAX_PAUSE_S if is_forbidden else min(MAX_PAUSE_S, 2 * pause_s)
                logger.log(logging.WARNING if is_forbidden else logging.INFO, "rolls are polled: %s", error)
            except Exception:  # the rolls poll meanwhile
                logger.exception("bug: the watch of pods in %s failed", watched.namespace)
                pause_s = MAX_PAUSE_S
            watch.is_connected = False
            await asyncio.sleep(pause_s)

    async def _watch_once(self, watched: Watched, watch: _Watch) -> None:
        changes = self._source.watch_pods(*watched)
        async with aclosing(changes):
            async for change in changes:
                watch.is_connected = True
                self.handle(watched, change)

    def _wake_within_limit(self, namespace: str, roll: str, follower: _Follower) -> None:
        if follower.is_delayed:
            return
        if follower.bucket.take():
            self._wake(namespace, roll)
            return
        follower.is_delayed = True
        asyncio.get_running_loop().call_later(WAKE_INTERVAL_S, self._wake_delayed, namespace, roll, follower)

    def _wake_delayed(self, namespace: str, roll: str, follower: _Follower) -> None:
        follower.is_delayed = False
        self._wake(namespace, roll)


def _state(pod: Pod) -> _PodState:
    return _PodState(
        own=(pod.has_ended, sum(c.restarts for c in pod.containers)),
        other=(pod.has_ended, pod.ready and not pod.deleting, pod.unschedulable),
        controller=pod.controller.uid if pod.controller else "",
    )
