"""Connection of a command to the API server, by kubectl's options."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import KubeApi
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.kubeconfig import current_namespace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from memroll.cli.command import ClusterOptions


def default_namespace(options: ClusterOptions) -> str:
    """Return the namespace of the context, or the pod's own."""
    return current_namespace(options.kubeconfig, options.context)


@asynccontextmanager
async def open_api(options: ClusterOptions) -> AsyncIterator[KubeApi]:
    """Connect to the API server, and close the connection at the end."""
    api = await KubeApi.connect(options.kubeconfig, options.context)
    if options.user:
        api.impersonate(options.user, options.groups)
    try:
        yield api
    finally:
        await api.close()


@asynccontextmanager
async def open_cluster(options: ClusterOptions) -> AsyncIterator[KubeCluster]:
    """Connect to the API server with all readers and writers."""
    async with open_api(options) as api:
        yield KubeCluster(api)
