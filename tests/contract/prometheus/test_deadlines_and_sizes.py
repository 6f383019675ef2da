"""No server, however slow or talkative, costs more than its deadline, its bytes and its threads."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.session import Limits
from tests.contract.prometheus.asking import read, trouble_of
from tests.contract.prometheus.scripted import EMPTY_OK, Exchange, Scripted, matrix

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
    pytest.param(drips_head, id="drips the head"),
    pytest.param(drips_body, id="drips the body"),
    pytest.param(drips_chunks, id="drips a chunk"),
]


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("answer", SLOW)
async def test_no_server_outlasts_the_deadline(
    serving: Callable[..., Scripted],
    provider_of: Opens,
    answer: Callable[[Exchange], None],
    secure: bool,  # noqa: FBT001 - a parameter of the table
    request: pytest.FixtureRequest,
) -> None:
    authority = request.getfixturevalue("certificates") if secure else None
    server = serving(answer, certificates=authority)
    tls = {"tls": {"caFile": str(authority.ca)}} if authority else {}
    provider = provider_of(server.url, timeoutSeconds=1.0, limits=Limits(at_once=1), **tls)
    began = time.monotonic()
    trouble = await trouble_of(provider)
    lasted = time.monotonic() - began
    assert (trouble.reason, lasted < 3.0) == ("QueryTimeout", True)
    assert "within 1 s" in trouble.message
    server.script[:] = [matrix()]
    assert (await read(provider)).rows == (), "the threads are free again"


async def test_readers_in_the_queue_wait_no_longer_than_the_deadline(
    serving: Callable[..., Scripted], provider_of: Opens
) -> None:
    server = serving(Exchange.hang)
    provider = provider_of(server.url, timeoutSeconds=1.0, limits=Limits(at_once=1))
    began = time.monotonic()
    found = await asyncio.gather(*(read(provider) for _ in range(4)), return_exceptions=True)
    assert [getattr(f, "reason", f) for f in found] == ["QueryTimeout"] * 4
    assert time.monotonic() - began < 3.0


async def test_at_most_so_many_reads_run_at_once(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    lock = threading.Lock()
    now, most = 0, 0
    both = threading.Barrier(2, timeout=5)

    def counts(exchange: Exchange) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()
        with lock:
            now -= 1
        exchange.send(200, json.dumps(EMPTY_OK))

    server = serving(counts)
    provider = provider_of(server.url, limits=Limits(at_once=2))
    await asyncio.gather(*(read(provider) for _ in range(6)))
    assert most == 2


@pytest.mark.parametrize("told", [True, False], ids=["tells its length", "does not"])
async def test_a_huge_body_is_cut_off(serving: Callable[..., Scripted], provider_of: Opens, told: bool) -> None:  # noqa: FBT001 - a parameter of the table
    def huge(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length" if told else "Connection", "1000000000" if told else "close")
        exchange.end_headers()
        while True:  # until the client hangs up
            exchange.wfile.write(b" " * 65536)

    server = serving(huge)
    trouble = await trouble_of(provider_of(server.url, limits=Limits(body_bytes=1_000_000)))
    assert trouble.reason == "TooLarge"
    assert "more than 1000000 bytes" in trouble.message


async def test_the_event_loop_runs_on_while_a_thread_waits(
    serving: Callable[..., Scripted], provider_of: Opens
) -> None:
    server = serving(Exchange.hang)
    reading = asyncio.create_task(trouble_of(provider_of(server.url, timeoutSeconds=1.0)))
    longest, last = 0.0, time.monotonic()
    while not reading.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert longest < 0.5
    await reading


async def test_a_cancelled_read_ends_at_once(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    server = serving(Exchange.hang)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await read(provider_of(server.url, timeoutSeconds=1.0))
