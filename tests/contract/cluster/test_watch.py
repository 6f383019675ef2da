"""The watch and a real HTTP server: kopf can be started again in one process, and disturbs no task of memroll."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from memroll.api import API_VERSION, GROUP, POLICY_PLURAL, ROLL_PLURAL, VERSION
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.controller import manager as manager_module
from memroll.controller import supervisor, watch
from memroll.controller.manager import Manager
from memroll.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

PLURALS = {POLICY_PLURAL: "MemoryPolicy", ROLL_PLURAL: "PodRoll"}


def _resource(plural: str, kind: str) -> dict[str, Any]:
    return {"name": plural, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["list", "watch", "patch"]}


DISCOVERY: dict[str, Any] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [_resource("namespaces", "Namespace") | {"namespaced": False}]},
    "/apis": {
        "groups": [{"name": GROUP, "versions": [{"version": VERSION}], "preferredVersion": {"version": VERSION}}]
    },
    f"/apis/{API_VERSION}": {"resources": [_resource(plural, kind) for plural, kind in PLURALS.items()]},
}


class WatchedApi:
    """API server with one policy, whose watches first send the given events and then stay open."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events, self.watches, self.closing = list(events), 0, asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        if request.path.endswith(POLICY_PLURAL):
            return web.json_response(
                {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": [_policy("first")]}
            )
        return web.json_response(DISCOVERY.get(request.path, {"metadata": {"resourceVersion": "1"}, "items": []}))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path.endswith(POLICY_PLURAL):
            self.watches += 1
            if self.events:
                await response.write(json.dumps(self.events.pop(0)).encode() + b"\n")
        await self.closing.wait()
        return response


def _policy(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "uid": name, "generation": 1, "resourceVersion": "2"}
    return {"apiVersion": API_VERSION, "kind": "MemoryPolicy", "metadata": metadata, "spec": {}}


def error(code: int) -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "etcdserver: leader changed"}}


@asynccontextmanager
async def serving(api: WatchedApi, server: FakeApi) -> AsyncIterator[None]:
    """Serve in place of the fake API, at the address that the kubeconfig names."""
    await server.stop()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", api.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", server.port, reuse_address=True).start()
    try:
        yield
    finally:
        api.closing.set()
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _environment(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", kubeconfig)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(watch, "FIRST_PAUSES_S", (0.01,))


async def run_until(condition: Any, enqueued: list[tuple[str, str]]) -> asyncio.Task[None]:
    ready = threading.Event()
    kind = watch.WatchedKind(lambda raw: raw, lambda event: enqueued.append((event.namespace, event.name)))
    watching = asyncio.create_task(watch.watch(dict.fromkeys(PLURALS, kind), "test", (), ready))
    async with asyncio.timeout(30):
        while not (condition() or watching.done()):  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.01)
    assert ready.is_set()
    return watching


async def stop(watching: asyncio.Task[None]) -> None:
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


async def test_an_error_in_the_stream_starts_the_watch_again_and_cancels_no_other_task(server: FakeApi) -> None:
    """kopf cancels all tasks of its event loop that are younger than it."""
    enqueued, younger = list[tuple[str, str]](), list[asyncio.Task[Any]]()
    api = WatchedApi(error(500), {"type": "ADDED", "object": _policy("second")})

    def has_second() -> bool:
        if api.watches and not younger:
            younger.append(asyncio.create_task(asyncio.sleep(3600)))
        return ("demo", "second") in enqueued

    async with serving(api, server):
        watching = await run_until(has_second, enqueued)
        assert not watching.done()
        await stop(watching)
    assert enqueued == [("demo", "first")] * 2 + [("demo", "second")]
    assert not younger[0].done()
    younger[0].cancel()


class ManyRolls(WatchedApi):
    """API server with many PodRolls, which it lists in pages."""

    COUNT = 1000

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query or not request.path.endswith(ROLL_PLURAL):
            return await super().serve(request)
        first = int(request.query.get("continue", "0"))
        end = min(self.COUNT, first + int(request.query.get("limit", self.COUNT)))
        metadata = {"resourceVersion": "1", "continue": str(end) if end < self.COUNT else ""}
        return web.json_response({"kind": "List", "metadata": metadata, "items": [*map(_roll, range(first, end))]})


def _roll(number: int) -> dict[str, Any]:
    metadata = {"name": f"roll-{number}", "namespace": "demo", "uid": f"roll-{number}", "resourceVersion": "2"}
    return {"apiVersion": API_VERSION, "kind": "PodRoll", "metadata": metadata, "status": {"evidence": ["x" * 10_000]}}


async def test_few_of_the_listed_objects_are_in_memory_at_once(server: FakeApi) -> None:
    """At a start, all finished PodRolls with their evidence are listed."""
    rolls: list[tuple[str, str]] = []
    peak = 0

    def decode(_: dict[str, Any]) -> str:
        nonlocal peak
        if len(rolls) % 50 == 0:
            peak = max(peak, sum(1 for o in gc.get_objects() if type(o) is dict and "evidence" in o))
        return "record"

    kinds = {
        POLICY_PLURAL: watch.WatchedKind(decode, lambda _: None),
        ROLL_PLURAL: watch.WatchedKind(decode, lambda event: rolls.append((event.namespace, event.name))),
    }
    async with serving(ManyRolls(), server):
        watching = asyncio.create_task(watch.watch(kinds, "test", (), threading.Event()))
        async with asyncio.timeout(30):
            while len(rolls) < ManyRolls.COUNT:  # noqa: ASYNC110 - the watch sets no event
                await asyncio.sleep(0.01)
        await stop(watching)
    assert peak < ManyRolls.COUNT / 3


async def test_a_bug_in_the_watch_is_raised(server: FakeApi) -> None:
    api = WatchedApi({"type": "ADDED", "object": 7})
    async with serving(api, server):
        watching = await run_until(lambda: False, [])
    with pytest.raises(Exception, match="int"):
        await watching
    assert not [t for t in threading.enumerate() if t.name == "watch"], "its thread has ended"


async def test_the_operator_survives_a_bug_in_a_task_and_ends_at_sigterm(
    server: FakeApi, api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(manager_module, "_resident_bytes", FailingTwice())
    monkeypatch.setattr(manager_module, "TICK_S", 0.01)
    settings = Settings(http_host="127.0.0.1").model_copy(update={"http_port": 0})  # any free port
    manager = Manager.build(settings, ConnectionsFile(tmp_path / "none"), api)
    async with serving(WatchedApi(), server):
        running = asyncio.create_task(manager.run())
        async with asyncio.timeout(20):
            while not len(manager.policy_controller.context.policies):  # noqa: ASYNC110 - the watch sets no event
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert not running.done()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await running
    read = manager.metrics.registry.get_sample_value
    assert read("memroll_task_restarts_total", {"task": "loop lag"}) == 2
    assert read("memroll_task_restarts_total", {"task": "watch"}) == 0


class FailingTwice:
    """Measurement that fails at first."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= 2:
            raise ZeroDivisionError
        return 1
