"""Event values in, core/v1 Events out: counted instead of multiplied, and never in anyone's way.

`publish` only decides and queues; one worker writes. What is seen again within a minute is counted and written
with the next one; an object that makes too much noise is cut down; a full queue drops what is new.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from memroll import clock
from memroll.api.base import rfc3339
from memroll.clients.kube.api_client import MERGE_PATCH, path_of
from memroll.clients.kube.json_access import number
from memroll.clients.kube.pods import CORE
from memroll.clients.kube.token_bucket import Bucket
from memroll.errors import Conflict, NotFound, Waiting
from memroll.reporting.events import MESSAGE_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from memroll.clients.kube.api_client import Api
    from memroll.reporting.events import Event

    Key = tuple[str, str, str]

QUEUE_MAX = 1000
REMEMBERED_MAX = 4096
SAME_KEY_S = 60.0
BURST = 25.0
REFILL_S = 10.0
TRIES = 3
NEVER = float("-inf")
COMPONENT = "memroll"
CONTROLLER = "memroll.dev/operator"

_log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Known:
    """What this process knows of one Event: how often it was written, and how often seen since."""

    count: int = 0
    unwritten: int = 0
    queued_at: float = NEVER
    pending: bool = False


class Recorder:
    """Writes Events. `dropped` counts those that a full queue lost, `failed` those that the API server refused."""

    def __init__(
        self,
        api: Api,
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
        self._queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE_MAX)
        self._known: OrderedDict[Key, _Known] = OrderedDict()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def publish(self, events: Iterable[Event]) -> None:
        """Queue what is due for writing; count the rest. Never blocks, never raises."""
        for event in events:
            known = _remembered(self._known, event.key, _Known)
            known.unwritten += 1
            if known.pending or self._monotonic() - known.queued_at < SAME_KEY_S:
                continue
            if not self._allowed(event.regarding.uid):
                continue
            try:
                self._queue.put_nowait(event)
            except asyncio.QueueFull:
                self.dropped += 1
            else:
                known.pending, known.queued_at = True, self._monotonic()

    async def run(self) -> None:
        """Write what is queued, until cancelled."""
        while True:
            await self._handle(await self._queue.get())

    async def drain(self, deadline_s: float) -> None:
        """Write what is still queued, but not for longer than that."""
        try:
            async with asyncio.timeout(deadline_s):
                while not self._queue.empty():
                    await self._handle(self._queue.get_nowait())
                await self._queue.join()
        except TimeoutError:
            _log.warning("%d events were not written in time", self._queue.qsize())

    async def _handle(self, event: Event) -> None:
        """Write one event, with a few tries; no failure leaves this method."""
        try:
            await self._persisted(event)
        except Exception as error:  # noqa: BLE001 - a defect in one event must not silence all that follow
            self.failed += 1
            _remembered(self._known, event.key, _Known).queued_at = NEVER
            _log.warning("event %s on %s was not written: %s", event.reason.value, event.regarding.name, error)
        finally:
            self._queue.task_done()
            _remembered(self._known, event.key, _Known).pending = False

    async def _persisted(self, event: Event) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                await self._write(event)
            except Waiting:
                if attempt == TRIES:
                    raise
                await asyncio.sleep(self._pause_s * attempt)
            else:
                return

    async def _write(self, event: Event) -> None:
        """Count an Event up that exists, else create it; Events vanish after an hour, and outlive this process."""
        known = _remembered(self._known, event.key, _Known)
        news = max(known.unwritten, 1)
        if known.count:
            try:
                await self._count_up(event, known.count + news)
            except NotFound:
                known.count = 0
        if not known.count:
            try:
                await self._api.request("POST", _path(event), body=self._body(event, news))
            except Conflict:
                there = await self._api.request("GET", _path(event, name_of(event)))
                known.count = number(there, "count", default=1)
                await self._count_up(event, known.count + news)
        known.count += news
        known.unwritten = max(known.unwritten - news, 0)

    async def _count_up(self, event: Event, count: int) -> None:
        change = {
            "count": count,
            "lastTimestamp": rfc3339(self._now()),
            "message": cut(event.message),
            "type": event.type.value,
        }
        await self._api.request("PATCH", _path(event, name_of(event)), body=change, content_type=MERGE_PATCH)

    def _body(self, event: Event, count: int) -> dict[str, Any]:
        about = event.regarding
        at = rfc3339(self._now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name_of(event), "namespace": about.namespace or "default"},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
            "type": event.type.value,
            "reason": event.reason.value,
            "message": cut(event.message),
            "count": count,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "source": {"component": COMPONENT},
            "reportingComponent": CONTROLLER,
            "reportingInstance": self._instance,
        }

    def _allowed(self, uid: str) -> bool:
        """Take a token of the object's bucket, if there is one."""
        return _remembered(self._buckets, uid, lambda: Bucket(BURST, REFILL_S, self._monotonic)).take()


def name_of(event: Event) -> str:
    """Name an Event by what it is about, so that every process gives it the same name."""
    digest = hashlib.sha256("\0".join(event.key).encode()).hexdigest()[:16]
    return f"{event.regarding.name[:236]}.{digest}"


def cut(message: str) -> str:
    """Shorten a message to the bytes, not the characters, that the API server lets through."""
    raw = message.encode(errors="replace")
    if len(raw) <= MESSAGE_BYTES_MAX:
        return raw.decode()
    return raw[: MESSAGE_BYTES_MAX - 3].decode(errors="ignore") + "…"


def _path(event: Event, name: str = "") -> str:
    return path_of(CORE, event.regarding.namespace or "default", "events", name)


def _remembered(memory: OrderedDict[K, V], key: K, make: Callable[[], V]) -> V:
    """Return the entry, newest last; the oldest is forgotten when there are too many."""
    if key not in memory:
        memory[key] = make()
    memory.move_to_end(key)
    if len(memory) > REMEMBERED_MAX:
        memory.popitem(last=False)
    return memory[key]
