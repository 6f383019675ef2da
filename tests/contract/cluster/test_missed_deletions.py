"""PodRolls that are deleted while the watch is down leave the index at its next resync, with a real API server.

The watch runs through a proxy, which is cut. When it is restored, it leads to another API server of the same etcd, as
in a cluster whose control plane fails over: that server has no events of before its start, so the watch
lists again, and reports no deletion of what the list lacks.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from memroll import clock
from memroll.api import POLICY_PLURAL, ROLL_PLURAL
from memroll.clients.kube.api_client import KubeApi
from memroll.clients.kube.custom_resources import METADATA_ONLY, CustomResources
from memroll.controller import watch
from memroll.controller.context import new_policy_index, new_roll_index
from memroll.controller.index_resync import MAX_SINGLE_READS, resync_index
from memroll.controller.manager import watched_kind
from tests.contract.cluster.real_api_server import serving, write_kubeconfig
from tests.contract.cluster.tcp_proxy import proxying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from memroll.clients.kube.api_client import ApiRequest, ApiResponse
    from memroll.controller.object_index import ObjectIndex
    from tests.contract.cluster.real_api_server import RealApiServer

ENDED = MAX_SINGLE_READS + 5
"""Number of finished PodRolls that stay: more than the resync would read one by one."""
GONE = {"gone-ended": "Succeeded", "gone-active": "Replacing"}
"""Phases of the PodRolls that are deleted while the watch is down, by name."""
WATCH_S = 90.0
"""Maximum seconds until the watch has connected and listed."""
RESYNC_S = 10.0
"""Maximum seconds of a resync; it has one page of metadata to list."""


class RecordedApi(KubeApi):
    """API client that records its requests: method, path and accepted content type."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.requests: list[tuple[str, str, str]] = []

    async def send(self, request: ApiRequest) -> ApiResponse:
        self.requests.append((request.method, request.path, request.accept))
        return await super().send(request)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealApiServer]:
    with serving(tmp_path_factory.mktemp("first")) as started:
        started.install()
        yield started


@pytest.fixture(autouse=True)
def _fast_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(watch, "FIRST_PAUSES_S", (0.2,))
    monkeypatch.setattr(watch, "MAX_PAUSE_S", 0.5)


async def create_roll(resources: CustomResources, name: str, phase: str) -> str:
    """Create a PodRoll in this phase, and return its uid."""
    spec = {"podName": name, "podUID": f"uid-{name}", "reason": "leaks"}
    metadata = (await resources.create_roll("ai", {"metadata": {"name": name}, "spec": spec}))["metadata"]
    await resources.write_status(ROLL_PLURAL, "ai", name, metadata["resourceVersion"], {"phase": phase})
    return str(metadata["uid"])


async def wait_until(condition: Callable[[], bool], watching: asyncio.Task[None], what: str) -> None:
    try:
        async with asyncio.timeout(WATCH_S):
            while not condition():
                assert not watching.done(), "the watch has ended"
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"after {WATCH_S:.0f} s: {what}")


@asynccontextmanager
async def watched(index: ObjectIndex[Any]) -> AsyncIterator[asyncio.Task[None]]:
    """Feed an index by the operator's watch."""
    kinds = {
        POLICY_PLURAL: watched_kind(new_policy_index(), lambda *_: None),
        ROLL_PLURAL: watched_kind(index, lambda *_: None),
    }
    watching = asyncio.create_task(watch.watch(kinds, "test", (), threading.Event()))
    try:
        yield watching
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # kopf does not wait for the ends of its TLS connections
            gc.collect()


async def test_a_podroll_that_is_deleted_while_the_watch_is_down_leaves_the_index(
    server: RealApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_roll_index()

    def names() -> set[str]:
        return {roll.name for roll in index.of_namespace("ai")}

    async with AsyncExitStack() as stack:
        servers = stack.enter_context(ExitStack())  # ends last: an API server with open watches takes a minute to end
        other_client = CustomResources(direct := await KubeApi.connect(server.kubeconfig))
        stack.push_async_callback(direct.close)
        kept = {f"ended-{i}" for i in range(ENDED)}
        for name in kept:
            await create_roll(other_client, name, "Succeeded")
        uids = {name: await create_roll(other_client, name, phase) for name, phase in GONE.items()}

        proxy, port = await stack.enter_async_context(proxying(server.port))
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", f"https://127.0.0.1:{port}")
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", kubeconfig)
        api = await RecordedApi.connect(kubeconfig)
        assert isinstance(api, RecordedApi), "connect() makes one of the class that it is called on"
        stack.push_async_callback(api.close)
        watching = await stack.enter_async_context(watched(index))
        await wait_until(lambda: names() == kept | GONE.keys(), watching, "the watch has not listed the PodRolls")
        assert await resync_index(index, CustomResources(api), (), clock.elapsed_s) == []

        proxy.cut()
        await wait_until(lambda: proxy.refused > 0, watching, "the watch has not tried to connect again")
        for name, uid in uids.items():
            await other_client.delete_roll("ai", name, uid)
        (folder := tmp_path / "second").mkdir()
        second = await asyncio.to_thread(servers.enter_context, serving(folder, server.etcd_url))
        proxy.target_port = second.port

        await wait_until(lambda: index.was_relisted, watching, "the watch has not listed again")
        await create_roll(other_client, "later", "Succeeded")
        await wait_until(lambda: "later" in names(), watching, "the watch does not go on")
        assert names() == kept | {"later"} | GONE.keys(), "the watch reports no deletion: else this test shows nothing"

        api.requests.clear()
        async with asyncio.timeout(RESYNC_S):
            assert await resync_index(index, CustomResources(api), (), clock.elapsed_s) == []
        assert names() == kept | {"later"}
        assert api.requests == [("GET", "/apis/memroll.dev/v1alpha1/podrolls", METADATA_ONLY)], "no PodRoll is read"
        assert index.is_current(clock.elapsed_s())
