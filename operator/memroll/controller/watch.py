"""Watch of MemoryPolicies and PodRolls: kopf's events go in, records of the objects come out, in memroll's own loop.

No decisions are made here: `controller.object_index` keeps the records, and returns what to enqueue.

Only `on.event` handlers are used: timers, daemons and change handlers of kopf would add a finalizer or an annotation
to every policy, and a policy must stay deletable when memroll is gone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import kopf

from memroll.api import GROUP, POLICY_PLURAL, ROLL_PLURAL, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping


logger = logging.getLogger(__name__)

CHUNK_SIZE = 25
"""Objects per page of kopf's list: PodRolls with evidence have 10 KiB and more, three times as much when decoded. Pages
of 100 leave 7 MiB more of free but fragmented memory, measured."""
IDLE_S = 0.05
"""Time in seconds for which kopf keeps the last event of an object in memory, chosen by hand. By default it is 5 s: at
a start, all PodRolls with their evidence. Not 0, with which kopf would never take an event."""
INACTIVITY_S = 70
"""Time in seconds without an event after which kopf reconnects, chosen by hand."""
SERVER_TIMEOUT_S = 600
"""Time in seconds after which the API server ends a watch, chosen by hand. An int: kopf copies it into the URL."""
FIRST_PAUSES_S = (1, 1, 2, 3, 5, 8)
"""First pauses between retries in seconds, chosen by hand."""
MAX_PAUSE_S = 13
"""Further pauses between retries in seconds, chosen by hand."""
STOP_TIMEOUT_S = 10.0
"""Time limit in seconds for kopf to stop, chosen by hand. Its thread does not keep the process alive."""
MAX_ERROR_CHARS = 300
"""Maximum length of an error of the watch in the log, in characters; chosen by hand."""
WATCHED = POLICY_PLURAL, ROLL_PLURAL
PARTS = "metadata", "spec", "status"
"""Parts of an object that its record may contain."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of the watch."""

    namespace: str
    name: str
    uid: str
    record: Any = None
    """Result of `WatchedKind.decode`; None for a deleted object."""
    is_listed: bool = False
    """True if the object is from a list: the watch has begun, or begun again after it was down for long."""


@dataclass(frozen=True, slots=True)
class WatchedKind:
    """Functions that the watch calls for the events of one kind."""

    decode: Callable[[dict[str, Any]], Any]
    """Build a record of an object. Called in kopf's thread."""
    observe: Callable[[WatchEvent], object]
    """Take an event. Called in memroll's loop, in the order of the events of an object."""


class Backoffs:
    """Infinite series of pauses between retries, in seconds: an API server may be down for an hour.

    Each iteration starts at the beginning.
    """

    def __iter__(self) -> Iterator[float]:
        return chain(FIRST_PAUSES_S, repeat(MAX_PAUSE_S))


def build_registry(kinds: Mapping[str, WatchedKind]) -> kopf.OperatorRegistry:
    """Return a registry that calls the functions of a kind for each of its events."""
    registry = kopf.OperatorRegistry()
    for plural, kind in kinds.items():
        _register(registry, plural, kind)

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        _configure(settings)

    @kopf.on.login(registry=registry)
    def login(**given: Any) -> kopf.ConnectionInfo | None:
        # With the client's own configuration: kopf's login for service accounts needs cluster DNS to start.
        return kopf.login_via_client(**given)

    return registry


def _register(registry: kopf.OperatorRegistry, plural: str, kind: WatchedKind) -> None:
    @kopf.on.event(GROUP, VERSION, plural, id=f"observe-{plural}", registry=registry)
    async def changed(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's names
        meta = body["metadata"]
        record = None if type == "DELETED" else kind.decode({part: body[part] for part in PARTS if part in body})
        kind.observe(WatchEvent(meta["namespace"], meta["name"], meta["uid"], record, is_listed=type is None))


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.scanning.disabled = True  # no list and watch of all CRDs
    settings.peering.standalone = True  # the Lease decides who acts
    settings.posting.enabled = False  # the event recorder writes Events
    settings.watching.chunk_size = CHUNK_SIZE
    settings.queueing.idle_timeout = IDLE_S
    settings.watching.server_timeout = SERVER_TIMEOUT_S
    settings.watching.inactivity_timeout = INACTIVITY_S
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Backoffs()
    settings.process.ultimate_exiting_timeout = None  # or kopf kills the process 10 minutes after it ended
    settings.execution.max_workers = 2
    for chatty in ("kopf.objects", "kopf.activities", "kopf._core.engines.activities"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _KopfThread:
    """Thread with an event loop of its own, in which kopf runs.

    When kopf ends, it cancels all tasks of its loop that are younger than it, not only its own. In memroll's loop these
    would be the reconciles in progress.
    """

    def __init__(self, operate: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        self._operate = operate
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()  # so that a cancelled waiter does not cancel it

    async def run(self) -> None:
        """Run kopf until it ends, and raise its error; stop it when cancelled."""
        ended = asyncio.wrap_future(self._ended)
        threading.Thread(target=self._run, name="watch", daemon=True).start()
        try:
            await asyncio.shield(ended)
        finally:
            await self._stop_and_wait(ended)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._operate(self._stop))
        except BaseException as error:  # noqa: BLE001 - raised again in memroll's own loop
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _stop_and_wait(self, ended: asyncio.Future[None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: kopf has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        _, running = await asyncio.wait({ended}, timeout=STOP_TIMEOUT_S)
        if running:
            logger.warning("kopf did not stop within %.0f s", STOP_TIMEOUT_S)
        elif not ended.cancelled():
            ended.exception()  # marks it as retrieved


async def watch(
    kinds: Mapping[str, WatchedKind], identity: str, namespaces: tuple[str, ...], ready: threading.Event
) -> None:
    """Watch until cancelled. Raise when the API server rejects the watch, and for a bug.

    `kinds[plural].observe` is called in the caller's event loop.
    """
    loop = asyncio.get_running_loop()
    logging.getLogger("kopf._core.reactor.running").addFilter(_is_not_about_signals)
    safe = {plural: replace(kind, observe=partial(_call_in, loop, kind.observe)) for plural, kind in kinds.items()}
    pauses_s = iter(Backoffs())
    while True:
        started_s = loop.time()
        try:
            await _KopfThread(partial(_operate, build_registry(safe), identity, namespaces, ready)).run()
        except Exception as error:
            if not _is_temporary(error):
                raise
            logger.warning("the watch is started again: %s", str(error)[:MAX_ERROR_CHARS])
        else:
            return
        if loop.time() - started_s > INACTIVITY_S:
            pauses_s = iter(Backoffs())
        await asyncio.sleep(next(pauses_s))


async def _operate(
    registry: kopf.OperatorRegistry,
    identity: str,
    namespaces: tuple[str, ...],
    ready: threading.Event,
    stop: asyncio.Event,
) -> None:
    await kopf.operator(
        registry=registry,
        # kopf would derive it from the user's name, and a container's user has none
        identity=identity,  # type: ignore[arg-type] # a NewType of str that kopf does not export
        clusterwide=not namespaces,
        namespaces=namespaces,
        ready_flag=ready,
        stop_flag=stop,
        standalone=True,
    )


def _call_in(loop: asyncio.AbstractEventLoop, observe: Callable[[WatchEvent], object], event: WatchEvent) -> None:
    with suppress(RuntimeError):  # the loop is closed: the process ends
        loop.call_soon_threadsafe(observe, event)


def _is_temporary(error: Exception) -> bool:
    """Return whether a new watch may succeed: after status 410, and after an error that was sent as an event."""
    return getattr(error, "status", None) == HTTPStatus.GONE or type(error).__name__ == "WatchingError"


def _is_not_about_signals(record: logging.LogRecord) -> bool:
    """Drop kopf's warning that it handles no signals: the manager does."""
    return not record.getMessage().startswith("OS signals are ignored")
