"""Event recorder: takes `Event` values from a bounded queue and writes core/v1 Events.

Repeats increment `count` instead of creating new Events, and publishing never blocks: `publish` only queues, one worker
writes. Repeats within a minute, or within half an hour with other numbers only, are counted and written with the next
one; a token bucket limits the Events of each object, but not those of rolls; a full queue drops the least important
events.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memroll import clock
from memroll.api.base import rfc3339
from memroll.clients.kube.api_client import MERGE_PATCH, build_path
from memroll.clients.kube.event_queue import EventQueue
from memroll.clients.kube.json_access import get_int
from memroll.clients.kube.pods import CORE
from memroll.clients.kube.recent_entries import RecentEntries
from memroll.clients.kube.token_bucket import TokenBucket
from memroll.errors import ConflictError, NotFoundError, RetryableError
from memroll.reporting.events import MAX_MESSAGE_BYTES, EventPriority
from memroll.reporting.words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from memroll.clients.kube.api_client import KubeApi
    from memroll.reporting.events import Event

    Key = tuple[str, str, str]

MAX_QUEUED = 1000
"""Maximum number of queued Events; the least important ones beyond it are dropped. Chosen by hand."""
MAX_REMEMBERED = 4096
"""Maximum number of cached Events, and of objects with a rate limit. Chosen by hand."""
MIN_REPEAT_S = 60.0
"""Minimum time between two writes of the same Event, in seconds. Chosen by hand."""
MIN_SAME_WORDS_S = {EventPriority.ROLL: MIN_REPEAT_S, EventPriority.POLICY: 900.0, EventPriority.POD: 1800.0}
"""The same, of an Event whose message has changed in its numbers only. Chosen by hand: a leak is reported at each
reconcile, and the API server keeps an Event for an hour after its last write by default."""
BURST = 25.0
"""Maximum number of Events of one object at once. Chosen by hand."""
REFILL_S = 10.0
"""Time per Event of one object after a burst, in seconds. Chosen by hand."""
MAX_TRIES = 3
"""Maximum number of tries to write an Event. Chosen by hand."""
NEVER = float("-inf")
COMPONENT = "memroll"
CONTROLLER = "memroll.dev/operator"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _EventState:
    """State of one Event in this process: how often it was written, and how often it was published since."""

    count: int = 0
    unwritten: int = 0
    queued_at: float = NEVER
    pending: bool = False
    words: str = ""
    """Message that was queued last, without its numbers."""


class EventRecorder:
    """Writes Events. `dropped` counts events lost by a full queue, `failed` those that could not be written."""

    def __init__(
        self,
        api: KubeApi,
        instance: str,
        now: Callable[[], datetime] = clock.now,
        monotonic: Callable[[], float] = time.monotonic,
        pause_s: float = 2.0,
    ) -> None:
        self.dropped = 0
        self.failed = 0
        self._api = api
        self._instance = instance[:128]
        self._now = now
        self._monotonic = monotonic
        self._pause_s = pause_s
        self._queue = EventQueue(MAX_QUEUED)
        self._states: RecentEntries[Key, _EventState] = RecentEntries(_EventState, MAX_REMEMBERED)
        self._buckets: RecentEntries[str, TokenBucket] = RecentEntries(
            lambda: TokenBucket(BURST, REFILL_S, monotonic), MAX_REMEMBERED
        )

    def publish(self, events: Iterable[Event]) -> None:
        """Queue events to be written; only count those that repeat too soon. Never blocks, never raises."""
        for event in events:
            state = self._states[event.key]
            state.unwritten += 1
            words = words_of(truncate_message(event.message))
            min_repeat_s = MIN_SAME_WORDS_S[event.priority] if words == state.words else MIN_REPEAT_S
            if state.pending or self._monotonic() - state.queued_at < min_repeat_s:
                continue
            if event.priority is not EventPriority.ROLL and not self._take_token(event.regarding.uid):
                continue
            state.pending, state.queued_at, state.words = True, self._monotonic(), words
            dropped = self._queue.put(event)
            if dropped is not None:
                self.dropped += 1
                lost = self._states[dropped.key]
                lost.pending, lost.queued_at = False, NEVER

    async def run(self) -> None:
        """Write queued events until cancelled."""
        while True:
            await self._write_safely(await self._queue.get())

    async def drain(self, timeout_s: float) -> None:
        """Write all queued events, for at most `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._queue):
                    await self._write_safely(await self._queue.get())
                await self._queue.join()
        except TimeoutError:
            _log.warning("events not written before the timeout: %d", len(self._queue))

    async def _write_safely(self, event: Event) -> None:
        """Write one event, with retries; log a failure instead of raising it."""
        try:
            await self._write_with_retries(event)
        except Exception as error:  # noqa: BLE001 - one broken event must not stop all later ones
            self.failed += 1
            self._states[event.key].queued_at = NEVER
            _log.warning("can't write event %s on %s: %s", event.reason.value, event.regarding.name, error)
        finally:
            self._queue.finish()
            self._states[event.key].pending = False

    async def _write_with_retries(self, event: Event) -> None:
        for attempt in range(1, MAX_TRIES + 1):
            try:
                await self._write(event)
            except RetryableError:
                if attempt == MAX_TRIES:
                    raise
                await asyncio.sleep(self._pause_s * attempt)
            else:
                return

    async def _write(self, event: Event) -> None:
        """Increment the count of an existing Event, else create it.

        Events expire after an hour and outlive this process, so the count in memory may be wrong either way.
        """
        state = self._states[event.key]
        new = max(state.unwritten, 1)
        if state.count:
            try:
                await self._increment(event, state.count + new)
            except NotFoundError:
                state.count = 0
        if not state.count:
            try:
                await self._api.request("POST", _path(event), body=self._body(event, new))
            except ConflictError:
                existing = await self._api.request("GET", _path(event, event_name(event)))
                state.count = get_int(existing, "count", default=1)
                await self._increment(event, state.count + new)
        state.count += new
        state.unwritten = max(state.unwritten - new, 0)

    async def _increment(self, event: Event, count: int) -> None:
        change = {
            "count": count,
            "lastTimestamp": rfc3339(self._now()),
            "message": truncate_message(event.message),
            "type": event.type.value,
        }
        await self._api.request("PATCH", _path(event, event_name(event)), body=change, content_type=MERGE_PATCH)

    def _body(self, event: Event, count: int) -> dict[str, Any]:
        regarding = event.regarding
        at = rfc3339(self._now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event_name(event), "namespace": regarding.namespace or "default"},
            "involvedObject": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
            "type": event.type.value,
            "reason": event.reason.value,
            "message": truncate_message(event.message),
            "count": count,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "source": {"component": COMPONENT},
            "reportingComponent": CONTROLLER,
            "reportingInstance": self._instance,
        }

    def _take_token(self, uid: str) -> bool:
        """Take a token from the object's bucket; return False if it is empty."""
        return self._buckets[uid].take()


def event_name(event: Event) -> str:
    """Return the name of an Event, derived from its key: the same in every process."""
    digest = hashlib.sha256("\0".join(event.key).encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{event.regarding.name[:236].rstrip('-.')}.{digest}"


def truncate_message(message: str) -> str:
    """Truncate a message to the API server's limit, which counts bytes, not characters."""
    raw = message.encode(errors="replace")
    if len(raw) <= MAX_MESSAGE_BYTES:
        return raw.decode()
    return raw[: MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "…"


def _path(event: Event, name: str = "") -> str:
    return build_path(CORE, event.regarding.namespace or "default", "events", name)
