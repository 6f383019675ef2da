"""Client of the benchmark itself for the API server: not counted, and with many requests at once."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from tests.bench.scale.control_plane import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

T = TypeVar("T")
WORKERS = 24
CORE, APPS, MEMROLL = "/api/v1", "/apis/apps/v1", "/apis/memroll.dev/v1alpha1"
MERGE_PATCH = "application/merge-patch+json"


class BenchApi:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def send(
        self, method: str, path: str, body: object = None, agent: str = "bench", content_type: str = "application/json"
    ) -> dict[str, Any]:
        headers = {"Content-Type": content_type, "User-Agent": agent}
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, self._url + path, data=data, headers=headers) as response:
            answer = await response.json(content_type=None)
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {answer.get('message', answer)}")
            found: dict[str, Any] = answer
            return found


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[BenchApi]:
    connector = aiohttp.TCPConnector(limit=2 * WORKERS, ssl=False)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield BenchApi(session, url)


async def for_each(items: Iterable[T], act: Callable[[T], Awaitable[object]]) -> None:
    """Run `act` for all items, some at once."""
    rest = iter(items)

    async def work() -> None:
        for item in rest:
            await act(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())
