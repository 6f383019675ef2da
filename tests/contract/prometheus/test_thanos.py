"""Thanos, by a scripted server: the fields that it requires, its messages and its warnings.

The texts are those of Thanos 0.42 with a store that was stopped, and without stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.errors import PrometheusUnavailableError
from tests.contract.prometheus.default_reads import error_of, prefilter, read
from tests.contract.prometheus.scripted_server import Exchange, ScriptedServer, failing, matrix, one, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.prometheus.conftest import Opens

DEAD_STORE = (
    "expanding series: proxy Series(): fetch series for Store Gateway Addr: 127.0.0.1:10901 LabelSets: "
    '{replica="a"} MinTime: 1700000000000 MaxTime: 9223372036854775807: rpc error: code = Unavailable desc = '
    'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:10901: connect: connection refused"'
)
NO_STORES = "expanding series: proxy Series(): No StoreAPIs available"
LIMIT = (
    "expanding series: rpc error: code = ResourceExhausted desc = exceeded samples limit: limit 10 violated (got 12)"
)
CHUNK_LIMIT = "expanding series: rpc error: code = Unknown desc = exceeded chunks limit: limit 10 violated (got 12)"
HINT = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket (1:6)"


def form(exchange: Exchange) -> dict[str, str]:
    return exchange.server.scripted.requests[-1].form


def with_a_dead_store(exchange: Exchange) -> None:
    """Return the series of the other store, unless partial responses are not permitted."""
    if form(exchange).get("partial_response") == "false":
        failing(422, "execution", DEAD_STORE)(exchange)
    else:
        matrix(one())(exchange)


def with_two_replicas(exchange: Exchange) -> None:
    """Return a sum of a gauge of two, of one replica or both, or the timestamp of its oldest sample."""
    of_gauge = "2" if form(exchange).get("dedup") == "true" else "4"
    number = "1000" if "timestamp" in form(exchange)["query"] else of_gauge
    vector({"metric": {}, "value": [1000, number]})(exchange)


async def test_a_dead_store_is_partial_data(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(with_a_dead_store)
    error = await error_of(client_of(server.url))
    assert error.reason == "PartialData"
    assert error.message.endswith("a store did not respond, and partial data are not used: is every store up?")
    assert "fetch series for Store Gateway Addr: 127.0.0.1:10901" in error.message
    assert len(server.requests) == 1, "it is not retried"


TEXTS = [
    pytest.param(422, NO_STORES, "PartialData", "is every store up?", id="no stores"),
    pytest.param(500, DEAD_STORE, "PartialData", "is every store up?", id="a dead store with another status"),
    pytest.param(422, LIMIT, "BadQuery", "shorten the window", id="the limit of a store"),
    pytest.param(422, CHUNK_LIMIT, "BadQuery", "shorten the window", id="the limit of a store, with another code"),
    pytest.param(422, "too many samples", "BadQuery", "shorten the window", id="the limit of the query engine"),
]


@pytest.mark.parametrize(("status", "text", "reason", "remedy"), TEXTS)
async def test_the_remedy_for_a_store_differs_from_that_for_a_large_query(
    serving: Callable[..., ScriptedServer], client_of: Opens, status: int, text: str, reason: str, remedy: str
) -> None:
    error = await error_of(client_of(serving(failing(status, "execution", text)).url))
    assert (error.reason, remedy in error.message) == (reason, True)


async def test_every_query_requires_complete_raw_data_of_one_replica(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    """The query frontend does not pass on a resolution of `0s`, and so would permit downsampled data."""
    server = serving(vector({"metric": {}, "value": [1000, "1"]}))
    client = client_of(server.url)
    await client.ping("default")
    await client.read_gauge("default", "ai", "chat-1", "connections", 0.0)
    server.script[:] = [vector()]
    await prefilter(client)
    server.script[:] = [matrix()]
    await read(client)
    assert len(server.requests) == 1 + 2 + 5 + 4
    sent = {(r.form["partial_response"], r.form["dedup"], r.form["max_source_resolution"]) for r in server.requests}
    assert sent == {("false", "true", "1s")}


async def test_a_gauge_is_not_doubled_by_two_replicas(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    client = client_of(serving(with_two_replicas).url)
    assert await client.read_gauge("default", "ai", "chat-1", "connections", 0.0) == 2.0


async def test_a_hint_among_the_warnings_is_no_warning(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    assert len((await read(client_of(serving(matrix(one(), warnings=[HINT])).url))).rows) == 1
    error = await error_of(client_of(serving(matrix(one(), warnings=[HINT, "No StoreAPIs matched"])).url))
    assert (error.reason, "returned 1 warning(s)" in error.message) == ("PartialData", True)


async def test_a_warning_of_a_prefilter_fails_it(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    with pytest.raises(PrometheusUnavailableError, match="PartialData"):
        await prefilter(client_of(serving(vector(warnings=[DEAD_STORE])).url))
