"""Watch of pods: one request that stays open in, a `PodChange` for each pod that is added, changed or deleted out.

`controller.pod_watches` calls it, as a hint of when to look: what a roll does is decided from fresh reads. So each
watch begins with all pods as the API server's cache has them, and a change that is missed costs only time.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp
from kubernetes.aio.config import ConfigException

from memroll.clients.kube.api_client import (
    READ_TIMEOUT_S,
    ApiRequest,
    ApiResponse,
    build_path,
)
from memroll.clients.kube.api_errors import MAX_MESSAGE_CHARS, unwrap_response
from memroll.clients.kube.json_access import get_dict, get_str
from memroll.clients.kube.pods import CORE, decode_or_skip
from memroll.clients.kube.response_body import MAX_ERROR_BYTES, decode_body, read_beginning, read_lines
from memroll.errors import ClusterUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from memroll.clients.kube.api_client import KubeApi
    from memroll.model.pods import Pod

SERVER_TIMEOUT_S = 300
"""Seconds after which the API server ends a watch, chosen by hand."""
IDLE_TIMEOUT_S = 90.0
"""Seconds without a byte after which a watch counts as broken: the API server sends a bookmark about each minute."""
CHANGES_PER_TURN = 20
"""Number of changes after which other tasks get a turn: each is decoded in about 0.3 ms."""
DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class PodChange:
    """A pod in its present state; for a deleted one, the last."""

    pod: Pod
    is_deleted: bool


class KubePodWatcher:
    """Watches pods. Needs the permission to watch them; without it, Forbidden is raised."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def watch_pods(self, namespace: str, selector: str) -> AsyncGenerator[PodChange]:
        """Yield the pods that a selector selects, and then their changes, until the server ends the watch."""
        count = 0
        async with aclosing(self._read_events(namespace, selector)) as lines:
            async for line in lines:
                change = _decode(line)
                if change is not None:
                    yield change
                count += 1
                if count % CHANGES_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def _read_events(self, namespace: str, selector: str) -> AsyncGenerator[bytes]:
        query: dict[str, str | int] = {
            "watch": "true",
            "labelSelector": selector,
            "timeoutSeconds": SERVER_TIMEOUT_S,
            "resourceVersion": "0",  # without it, etcd must be able to report progress (3.4.31, 3.5.13)
            "allowWatchBookmarks": "true",
        }
        request = ApiRequest("GET", build_path(CORE, namespace, "pods"), query)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=READ_TIMEOUT_S, sock_read=IDLE_TIMEOUT_S)
        try:
            response = await self._api.open(request, timeout)
            try:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raw = await read_beginning(response.response, MAX_ERROR_BYTES)
                    unwrap_response(request, ApiResponse(response.status, decode_body(raw, strict=False)))
                async for line in read_lines(response.response):
                    yield line
            finally:
                response.response.close()
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            message = f"the watch of pods in {namespace} ended: {type(error).__name__} {error}"
            raise ClusterUnavailableError("Unreachable", message[:MAX_MESSAGE_CHARS]) from error


def _decode(line: bytes) -> PodChange | None:
    """Decode an event; None for a bookmark, and for what can't be decoded. Raise for an error of the watch."""
    event = decode_body(line, strict=False)
    kind, raw = get_str(event, "type"), get_dict(event, "object")
    if kind == "ERROR":
        raise ClusterUnavailableError("WatchFailed", f"the watch of pods ended: {get_str(raw, 'message')[:200]}")
    found = decode_or_skip(raw) if kind in ("ADDED", "MODIFIED", DELETED) else None
    return None if found is None else PodChange(found[0], kind == DELETED)
