"""memroll in this process, on the real cluster, with every call to the API server counted."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import yaml

from memroll import logs
from memroll.clients.kube.api_client import KubeApi
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.controller.manager import Manager
from memroll.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from memroll.clients.kube.api_client import ApiRequest, ApiResponse
    from memroll_demo.cluster import DemoCluster


class CountedApi(KubeApi):
    """API client that counts the calls for one namespace, without those for the Lease and the watches."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.namespace = ""
        self.calls: Counter[str] = Counter()

    async def send(self, request: ApiRequest) -> ApiResponse:
        before, _, after = request.path.partition(f"/namespaces/{self.namespace}/")
        if self.namespace and before != request.path:
            kind, *more = after.split("/")
            self.calls[f"{request.method} {'/'.join([kind, *more[1:]])}"] += 1
        return await super().send(request)


@asynccontextmanager
async def operator(site: DemoCluster, namespace: str, own: str, folder: Path) -> AsyncIterator[CountedApi]:
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
    running = asyncio.create_task(Manager.build(settings, ConnectionsFile(connections), api).run())
    try:
        yield api
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await api.close()
