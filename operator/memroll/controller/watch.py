"""Watch of MemoryPolicies and PodRolls: kopf's events go in, enqueued keys come out. No decisions are made here.

Only `on.event` handlers are used: timers, daemons and change handlers of kopf would add a finalizer or an annotation
to every policy, and a policy must stay deletable when memroll is gone.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import kopf

from memroll.api import GROUP, POLICY_PLURAL, ROLL_PLURAL, VERSION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    Enqueue = Callable[[str, str], None]

logger = logging.getLogger(__name__)

INACTIVITY_S = 70
"""Time in seconds without an event after which kopf reconnects, chosen by hand."""
SERVER_TIMEOUT_S = 600
"""Time in seconds after which the API server ends a watch, chosen by hand. An int: kopf copies it into the URL."""
WATCHED = POLICY_PLURAL, ROLL_PLURAL


class Backoffs:
    """Infinite series of pauses between retries, in seconds: an API server may be down for an hour.

    Each iteration starts at the beginning.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((1, 1, 2, 3, 5, 8), repeat(13))


def build_registry(handlers: dict[str, Enqueue]) -> kopf.OperatorRegistry:
    """Return a registry that calls `handlers[plural](namespace, name)` for each change that is not memroll's own."""
    registry = kopf.OperatorRegistry()
    for plural, enqueue in handlers.items():
        _register(registry, plural, enqueue)

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:  # noqa: ANN401 - kopf's handler protocol
        _configure(settings)

    @kopf.on.login(registry=registry)
    def login(**given: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's handler protocol
        # With the client's own configuration: kopf's login for service accounts needs cluster DNS to start.
        return kopf.login_via_client(**given)

    return registry


def _register(registry: kopf.OperatorRegistry, plural: str, enqueue: Enqueue) -> None:
    generations: dict[str, int] = {}

    @kopf.on.event(GROUP, VERSION, plural, id=f"enqueue-{plural}", registry=registry)
    async def changed(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401 - kopf's names
        meta = body["metadata"]
        uid, generation = meta["uid"], meta.get("generation", 0)
        if type == "DELETED":
            generations.pop(uid, None)
        elif generations.get(uid) == generation and not meta.get("deletionTimestamp"):
            return  # memroll's own status write
        else:
            generations[uid] = generation
        enqueue(meta["namespace"], meta["name"])


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.scanning.disabled = True  # no list and watch of all CRDs
    settings.peering.standalone = True  # the Lease decides who acts
    settings.posting.enabled = False  # the event recorder writes Events
    settings.watching.server_timeout = SERVER_TIMEOUT_S
    settings.watching.inactivity_timeout = INACTIVITY_S
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Backoffs()
    settings.execution.max_workers = 2
    for chatty in ("kopf.objects", "kopf.activities", "kopf._core.engines.activities"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


async def watch(
    registry: kopf.OperatorRegistry, identity: str, namespaces: tuple[str, ...], ready: asyncio.Event
) -> None:
    """Watch until SIGTERM or SIGINT. Raise when the API server rejects the watch permanently."""
    while True:
        try:
            await kopf.operator(
                registry=registry,
                # kopf would derive it from the user's name, and a container's user has none
                identity=identity,  # type: ignore[arg-type] # a NewType of str that kopf does not export
                clusterwide=not namespaces,
                namespaces=namespaces,
                ready_flag=ready,
                standalone=True,
            )
        except Exception as error:
            if getattr(error, "status", None) != HTTPStatus.GONE:
                raise
            logger.warning("the watch is restarted: %s", error)
        else:
            return
