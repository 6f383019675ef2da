"""memroll in this very process, on the real cluster, with every call to the API server counted."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import yaml

from memroll.cli import logs
from memroll.cli.operator import _operate
from memroll.clients.kube.api_client import Api
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from memroll.clients.kube.api_client import Answer, Call
    from memroll_demo.site import Site


class CountedApi(Api):
    """Counts the calls about one namespace; the Lease is in another one, and the watches are not calls."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.namespace = ""
        self.calls: Counter[str] = Counter()

    async def answer(self, call: Call) -> Answer:
        before, _, after = call.path.partition(f"/namespaces/{self.namespace}/")
        if self.namespace and before != call.path:
            kind, *more = after.split("/")
            self.calls[f"{call.method} {'/'.join([kind, *more[1:]])}"] += 1
        return await super().answer(call)


@asynccontextmanager
async def operator(site: Site, namespace: str, own: str, folder: Path) -> AsyncIterator[CountedApi]:
    """Run memroll for one namespace, with its Lease in the namespace `own`, until the block ends."""
    connections = folder / "connections.yaml"
    connections.write_text(yaml.safe_dump({"connections": {"default": {"url": site.prometheus_url}}}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(
        namespace=own,
        identity="bench",
        watch_namespaces=(namespace,),
        connections_file=str(connections),
        http_host="127.0.0.1",
        http_port=port,
    )
    logs.configure("text", "WARNING")
    api = await CountedApi.connect(site.kubeconfig)
    assert isinstance(api, CountedApi), "connect() makes one of the class that it is called on"
    api.namespace = namespace
    running = asyncio.create_task(_operate(settings, ConnectionsFile(connections), api))
    try:
        yield api
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await api.close()
