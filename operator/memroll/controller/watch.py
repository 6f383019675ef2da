"""kopf in, wake-ups out. No decisions, no finalizers, no annotations on the user's objects.

Only `on.event` handlers: timers, daemons and change handlers of kopf would put a finalizer or an annotation
on every policy, and a policy must stay deletable when memroll is gone.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import kopf

from memroll.api import GROUP, VERSION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    Wake = Callable[[str, str], None]

logger = logging.getLogger(__name__)

INACTIVITY_S = 70
SERVER_TIMEOUT_S = 600  # an int: kopf writes it into the URL as it is
WATCHED = "memorypolicies", "podrolls"


class Backoffs:
    """Pauses between tries, in seconds, without an end: an API server may be down for an hour. Each use begins anew."""

    def __iter__(self) -> Iterator[float]:
        return chain((1, 1, 2, 3, 5, 8), repeat(13))


def registry(wakes: dict[str, Wake]) -> kopf.OperatorRegistry:
    """Return a registry that calls `wakes[plural](namespace, name)` for each change that is not our own."""
    made = kopf.OperatorRegistry()
    for plural, wake in wakes.items():
        _register(made, plural, wake)

    @kopf.on.startup(registry=made)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:  # noqa: ANN401 - kopf's handler protocol
        _configure(settings)

    @kopf.on.login(registry=made)
    def login(**given: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's handler protocol
        # By the client's own configuration: kopf's way for service accounts needs cluster DNS to start.
        return kopf.login_via_client(**given)

    return made


def _register(made: kopf.OperatorRegistry, plural: str, wake: Wake) -> None:
    generations: dict[str, int] = {}

    @kopf.on.event(GROUP, VERSION, plural, id=f"wake-{plural}", registry=made)
    async def changed(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002, ANN401 - kopf's names
        meta = body["metadata"]
        uid, generation = meta["uid"], meta.get("generation", 0)
        if type == "DELETED":
            generations.pop(uid, None)
        elif generations.get(uid) == generation and not meta.get("deletionTimestamp"):
            return  # our own status write
        else:
            generations[uid] = generation
        wake(meta["namespace"], meta["name"])


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.scanning.disabled = True  # no list and watch of all CRDs
    settings.peering.standalone = True  # the Lease decides who acts
    settings.posting.enabled = False  # our own recorder writes events
    settings.watching.server_timeout = SERVER_TIMEOUT_S
    settings.watching.inactivity_timeout = INACTIVITY_S
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Backoffs()
    settings.execution.max_workers = 2
    for chatty in ("kopf.objects", "kopf.activities", "kopf._core.engines.activities"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


async def watch(made: kopf.OperatorRegistry, identity: str, namespaces: tuple[str, ...], ready: asyncio.Event) -> None:
    """Watch until SIGTERM or SIGINT. Raises when the API server refuses the watch for good."""
    while True:
        try:
            await kopf.operator(
                registry=made,
                # kopf would make one up from the user's name, and a container's user has none
                identity=identity,  # type: ignore[arg-type] # a NewType of str that kopf does not export
                clusterwide=not namespaces,
                namespaces=namespaces,
                ready_flag=ready,
                standalone=True,
            )
        except Exception as error:
            if getattr(error, "status", None) != HTTPStatus.GONE:
                raise
            logger.warning("the watch is begun anew: %s", error)
        else:
            return
