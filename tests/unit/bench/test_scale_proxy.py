"""Counting proxy of the scale benchmark, between a real client and a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.bench.scale import fleet, options, recommender
from tests.bench.scale.proxy import USAGE_PATH, build_app
from tests.bench.scale.traffic import COUNTS_PATH, Count, Traffic

BODY = b'{"items": []}' * 1000
GO_ON = web.AppKey("go on", asyncio.Event)
POD = "/api/v1/namespaces/a/pods/web-1"


async def list_pods(request):
    assert request.headers["Authorization"] == "Bearer bench-scale"
    return web.Response(body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"})


async def watch_pods(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first\n")
    await request.app[GO_ON].wait()
    await response.write(b"second\n")
    return response


async def patch_pod(request):
    return web.Response(status=409, text=await request.text())


@pytest.fixture
async def servers():
    upstream = web.Application()
    upstream[GO_ON] = asyncio.Event()
    upstream.router.add_get("/api/v1/pods", list_pods)
    upstream.router.add_get("/api/v1/namespaces/a/pods", watch_pods)
    upstream.router.add_patch(POD, patch_pod)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(upstream))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        app = build_app("api", str(server.make_url("")).rstrip("/"), session, json.dumps(usage()))
        proxy = await stack.enter_async_context(TestServer(app))
        client = await stack.enter_async_context(aiohttp.ClientSession(base_url=str(proxy.make_url("/"))))
        yield client, upstream[GO_ON]


def usage():
    return recommender.pod_metrics(fleet.build(options.parse(["--size", "40"])))


async def counts(client):
    async with client.get(COUNTS_PATH) as response:
        return Traffic.from_dict(await response.json()).counts


async def test_a_compressed_response_is_counted_as_sent_and_decoded(servers):
    client, _ = servers
    async with client.get("/api/v1/pods") as response:
        assert await response.read() == BODY
    assert await counts(client) == {"list pods": Count(1, 0, 0, len(gzip.compress(BODY)), len(BODY))}


async def test_a_failed_write_has_its_status_and_its_bytes(servers):
    client, _ = servers
    async with client.patch(POD, data=b"12345") as response:
        assert (response.status, await response.text()) == (409, "12345")
    assert await counts(client) == {"patch pods": Count(1, 1, 5, 5, 5)}


async def test_an_event_of_a_watch_arrives_while_the_watch_goes_on(servers):
    client, go_on = servers
    async with client.get("/api/v1/namespaces/a/pods?watch=true") as response:
        assert await response.content.readline() == b"first\n"
        assert (await counts(client))["watch pods"] == Count(1, 0, 0, 6, 6)
        go_on.set()
        assert await response.content.readline() == b"second\n"


async def test_the_usage_of_all_pods_is_that_of_now(servers):
    client, _ = servers
    async with client.get(USAGE_PATH) as response:
        items = (await response.json())["items"]
    assert len(items) == 40
    assert {item["timestamp"][0] for item in items} == {"2"}
    assert {item["metadata"]["name"] for item in items} == {pod["metadata"]["name"] for pod in usage()["items"]}
