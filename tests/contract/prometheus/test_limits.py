"""Timeout, size and concurrency of reads are bounded, whatever the server does."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus import client as client_module
from memroll.clients.prometheus.session import Limits
from memroll.errors import PrometheusUnavailableError
from tests.contract.prometheus.default_reads import error_of, read
from tests.contract.prometheus.scripted_server import EMPTY_OK, Exchange, ScriptedServer, matrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.prometheus.conftest import Opens


def drips_head(exchange: Exchange) -> None:
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    exchange.drip(b"y")


def drips_body(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("Content-Length", "1000000")
    exchange.end_headers()
    exchange.drip(b" ")


def drips_chunks(exchange: Exchange) -> None:
    exchange.send_response(200)
    exchange.send_header("Transfer-Encoding", "chunked")
    exchange.end_headers()
    exchange.wfile.write(b"FFFFF\r\n")
    exchange.drip(b" ")


SLOW = [
    pytest.param(Exchange.hang, id="hangs"),
    pytest.param(drips_head, id="sends headers slowly"),
    pytest.param(drips_body, id="sends the body slowly"),
    pytest.param(drips_chunks, id="sends a chunk slowly"),
]


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("response", SLOW)
async def test_a_slow_server_is_bounded_by_the_timeout(
    serving: Callable[..., ScriptedServer],
    client_of: Opens,
    response: Callable[[Exchange], None],
    secure: bool,  # noqa: FBT001 - a parameter of the table
    request: pytest.FixtureRequest,
) -> None:
    authority = request.getfixturevalue("certificates") if secure else None
    server = serving(response, certificates=authority)
    tls = {"tls": {"caFile": str(authority.ca)}} if authority else {}
    client = client_of(server.url, timeoutSeconds=1.0, limits=Limits(max_concurrent=1), **tls)
    started = time.monotonic()
    error = await error_of(client)
    duration_s = time.monotonic() - started
    assert (error.reason, duration_s < 3.0) == ("QueryTimeout", True)
    assert "within 1 s" in error.message
    server.script[:] = [matrix()]
    assert (await read(client)).rows == (), "the threads are free again"


async def test_the_time_in_the_queue_does_not_count(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(lambda exchange: (time.sleep(0.15), exchange.send(200, json.dumps(EMPTY_OK))))
    client = client_of(server.url, timeoutSeconds=1.0, limits=Limits(max_concurrent=1))
    started = time.monotonic()
    found = await asyncio.gather(*(read(client) for _ in range(4)))
    assert time.monotonic() - started > 2 * 1.0, "all of them together take longer than the timeout of one query"
    assert [f.rows for f in found] == [()] * 4


async def test_a_prefilter_of_many_pods_may_take_longer_than_the_timeout_of_a_query(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    empty = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}})
    server = serving(lambda exchange: (time.sleep(0.08), exchange.send(200, empty)))
    client = client_of(server.url, timeoutSeconds=1.0)
    started = time.monotonic()
    pods = [f"chat-{i}" for i in range(2000)]
    assert (await client.prefilter("default", "ai", pods, (60.0, 600.0, 3600.0, 7200.0), 1e9)).rows == ()
    assert (len(server.requests) >= 20, time.monotonic() - started > 1.5) == (True, True)


async def test_a_hanging_connection_delays_no_read_of_another(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    hanging, answering = (client_of(serving(s).url, timeoutSeconds=5.0) for s in (Exchange.hang, matrix()))
    waiting = [asyncio.ensure_future(read(hanging)) for _ in range(8)]
    await asyncio.sleep(0.2)
    started = time.monotonic()
    assert (await read(answering)).rows == ()
    assert time.monotonic() - started < 2.0
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_read_without_a_free_thread_ends_with_an_error_that_names_the_cause(
    serving: Callable[..., ScriptedServer], client_of: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_QUEUED_TIMEOUTS", 1)
    client = client_of(serving(matrix()).url, timeoutSeconds=1.0, limits=Limits(max_concurrent=1))
    blocked = threading.Event()
    client._pool("default").threads.submit(blocked.wait)
    try:
        error = await error_of(client)
    finally:
        blocked.set()
    assert (error.reason, "no query was sent to" in error.message) == ("QueryTimeout", True)


async def test_a_read_that_nobody_waits_for_sends_no_further_query(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    server = serving(lambda exchange: (time.sleep(0.3), exchange.send(200, json.dumps(EMPTY_OK))))
    client = client_of(server.url, timeoutSeconds=5.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await read(client)
    await asyncio.sleep(0.6)
    assert len(server.requests) == 1


async def test_a_step_of_a_roll_waits_for_a_gauge_only_shortly(
    serving: Callable[..., ScriptedServer], client_of: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_GAUGE_S", 1.0)
    client = client_of(serving(Exchange.hang).url, timeoutSeconds=60.0)
    started = time.monotonic()
    with pytest.raises(PrometheusUnavailableError, match="within 1 s"):
        await client.read_gauge("default", "ai", "chat-1", "connections", 0.0)
    assert time.monotonic() - started < 4.0


async def test_the_number_of_concurrent_reads_is_bounded(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    lock = threading.Lock()
    running, max_running = 0, 0
    both = threading.Barrier(2, timeout=5)

    def counts(exchange: Exchange) -> None:
        nonlocal running, max_running
        with lock:
            running += 1
            max_running = max(max_running, running)
        both.wait()
        with lock:
            running -= 1
        exchange.send(200, json.dumps(EMPTY_OK))

    server = serving(counts)
    client = client_of(server.url, limits=Limits(max_concurrent=2))
    await asyncio.gather(*(read(client) for _ in range(6)))
    assert max_running == 2


@pytest.mark.parametrize("has_length", [True, False], ids=["with content length", "without"])
async def test_the_size_of_a_body_is_bounded(
    serving: Callable[..., ScriptedServer],
    client_of: Opens,
    has_length: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    def huge(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length" if has_length else "Connection", "1000000000" if has_length else "close")
        exchange.end_headers()
        while True:  # until the client closes the connection
            exchange.wfile.write(b" " * 65536)

    server = serving(huge)
    error = await error_of(client_of(server.url, limits=Limits(max_body_bytes=1_000_000)))
    assert error.reason == "TooLarge"
    assert "more than 1000000 bytes" in error.message


async def test_a_read_does_not_block_the_event_loop(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(Exchange.hang)
    reading = asyncio.create_task(error_of(client_of(server.url, timeoutSeconds=1.0)))
    longest, last = 0.0, time.monotonic()
    while not reading.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < 0.5
    await reading


async def test_a_cancelled_read_ends_at_once(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(Exchange.hang)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await read(client_of(server.url, timeoutSeconds=1.0))
