"""Every failure of a server becomes one typed error, in time and without secrets."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import PrometheusUnavailableError, TerminalError
from tests.contract.prometheus.default_reads import error_of, prefilter, read
from tests.contract.prometheus.scripted_server import (
    EMPTY_OK,
    Exchange,
    ScriptedServer,
    failing,
    matrix,
    one,
    responding,
    vector,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.prometheus.conftest import Opens


HOSTILE = "s3cr3t-c4n4ry-0123456789"


async def test_the_query_is_posted_in_the_body(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(matrix())
    client = client_of(f"{server.url}/prometheus/", queryParams={"namespace": "ai"}, headers={"X-Scope-OrgID": "t"})
    assert (await read(client)).rows == ()
    rss, working_set, ooms, load = server.requests
    assert (rss.method, rss.path, rss.parameters) == ("POST", "/prometheus/api/v1/query", {"namespace": "ai"})
    assert rss.headers["x-scope-orgid"] == "t"
    assert rss.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in rss.headers
    assert 9.0 < float(rss.form.pop("timeout")) <= 10.01
    assert rss.form == {
        "query": 'container_memory_rss{container!="",container!="POD",pod=~"chat-1",namespace="ai"}[90s]',
        "time": "1020.000",
        "partial_response": "false",
        "dedup": "true",
        "max_source_resolution": "1s",
        "latency_offset": "1ms",
        "stats": "all",
    }
    assert working_set.form["query"].startswith("container_memory_working_set_bytes{")
    assert ooms.form["query"].startswith("container_oom_events_total{")
    assert load.form["query"].startswith("(rate(container_cpu_usage_seconds_total{")


async def test_long_pod_lists_are_queried_in_chunks(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(matrix())
    await client_of(server.url).read(
        "default", ReadRequest("ai", [f"chat-{n}" for n in range(250)], SampleRange(90.0, None), 1020.0)
    )
    assert len(server.requests) == 3 * 4
    assert max(len(r.form["query"]) for r in server.requests) < 4000


async def test_without_pods_nothing_is_queried(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(matrix())
    reading = await client_of(server.url).read("default", ReadRequest("ai", [], SampleRange(90.0, None), 1020.0))
    assert (reading.rows, server.requests) == ((), [])


async def test_foreign_and_non_finite_samples_are_dropped(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    odd = [[930, "9"], [1000, "NaN"], [1001, "+Inf"], [1002.125, "3e2"], [1030, "9"]]
    rss = matrix(one(values=odd), one(namespace="other"), one(pod="chat-2"), one(name="b" * 64))
    server = serving(rss, matrix(one()), matrix())
    reading = await read(client_of(server.url))
    rows = {
        r.container_id[0]: (r.rss.times_s.tolist(), r.rss.values.tolist(), len(r.working_set)) for r in reading.rows
    }
    assert rows == {"a": ([1002.125], [300.0], 2), "b": ([1000.0, 1015.5], [1.0, 2.0], 0)}
    assert reading.at_s == 1020.0


async def test_a_prefilter_reads_statistics(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    labels = one()["metric"]
    responses = [
        vector({"metric": labels, "value": [1020, v]}, {"metric": labels | {"namespace": "b"}, "value": [1020, "9"]})
        for v in ("2.5", "6", "1e8", "2e8", "1015.5")
    ]
    server = serving(*responses)
    [row] = (await prefilter(client_of(server.url))).rows
    assert (row.pod, row.container, row.container_id) == ("chat-1", "chat", "a" * 64)
    assert (row.slopes_bytes_per_s, row.samples) == ((2.5,), 6)
    assert (row.rss_bytes, row.working_set_bytes, row.last_s) == (1e8, 2e8, 1015.5)
    assert {r.form["time"] for r in server.requests} == {"1020.000"}


BROKEN = [
    pytest.param(responding(401, "no"), "Unauthorized", id="401"),
    pytest.param(failing(422, "execution", "too many samples"), "BadQuery", id="422"),
    pytest.param(vector(warnings=["a store is gone"]), "PartialData", id="a warning"),
    pytest.param(responding(200, ""), "BadResponse", id="an empty body"),
]


@pytest.mark.parametrize("after", [0, 2, 4])
@pytest.mark.parametrize(("broken", "reason"), BROKEN)
async def test_a_prefilter_is_complete_or_fails(
    serving: Callable[..., ScriptedServer],
    client_of: Opens,
    after: int,
    broken: Callable[[Exchange], None],
    reason: str,
) -> None:
    server = serving(*[vector()] * after, broken)
    with pytest.raises(PrometheusUnavailableError) as caught:
        await prefilter(client_of(server.url))
    assert (caught.value.reason, len(server.requests)) == (reason, after + 1)


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_a_read_is_complete_or_fails(
    serving: Callable[..., ScriptedServer], client_of: Opens, after: int
) -> None:
    """A missing load also fails the read, if the server returned an error for it."""
    server = serving(*[matrix(one())] * after, failing(422, "execution", "too many samples"))
    assert (await error_of(client_of(server.url))).reason == "BadQuery"
    assert len(server.requests) == after + 1


STATUSES = [
    pytest.param(responding(401, "no"), "Unauthorized", "HTTP 401", id="401 is Unauthorized"),
    pytest.param(responding(403, "no"), "Forbidden", "HTTP 403", id="403 is Forbidden"),
    pytest.param(responding(403, "no"), "Forbidden", "or set method: GET", id="403 by POST"),
    pytest.param(responding(405, "no"), "Forbidden", "HTTP 405: POST is not permitted: set method: GET", id="405"),
    pytest.param(responding(400, "no"), "BadResponse", "HTTP 400: check the url's path", id="400 not of Prometheus"),
    pytest.param(failing(400, "bad_data", "parse error"), "BadQuery", "HTTP 400 (parse error)", id="400 has a message"),
    pytest.param(
        failing(422, "execution", "too many samples"), "BadQuery", "(too many samples)", id="422 has a message"
    ),
    pytest.param(failing(422, "execution", "x" * 900), "BadQuery", f"({'x' * 200})", id="a long message is truncated"),
    pytest.param(failing(503, "timeout", "query timed out"), "QueryTimeout", "HTTP 503", id="the server's own timeout"),
    pytest.param(responding(500, "<b>oops</b>"), "Unreachable", "HTTP 500: see", id="500 without the body"),
    pytest.param(responding(429, "slow down"), "Unreachable", "HTTP 429: it limits", id="429 is not retried"),
    pytest.param(responding(404, "nothing here"), "BadResponse", "check the url's path", id="404 is a wrong path"),
    pytest.param(responding(200, "<html>Sign in</html>"), "BadResponse", "no valid JSON", id="a login page"),
    pytest.param(responding(200, ""), "BadResponse", "no valid JSON", id="an empty body"),
    pytest.param(matrix(warnings=["a store is gone"]), "PartialData", "1 warning(s)", id="a warning"),
]


@pytest.mark.parametrize(("response", "reason", "text"), STATUSES)
async def test_every_error_response_has_one_reason(
    serving: Callable[..., ScriptedServer],
    client_of: Opens,
    response: Callable[[Exchange], None],
    reason: str,
    text: str,
) -> None:
    server = serving(response)
    error = await error_of(client_of(server.url))
    assert error.reason == reason
    assert text in error.message
    assert server.host in error.message
    assert "<" not in error.message
    assert "store" not in error.message
    assert len(error.message) < 400
    assert len(server.requests) == 1


SHAPES: list[Any] = [
    [],
    {"status": "success"},
    {"status": "success", "data": None},
    {"status": "success", "data": {"resultType": "matrix"}},
    {"status": "success", "data": {"resultType": "vector", "result": []}},
    {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}},
    {"status": "error", "data": {"resultType": "matrix", "result": []}},
    {"status": "success", "data": {"resultType": "matrix", "result": {}}},
    {"status": "success", "data": {"resultType": "matrix", "result": [{"values": []}]}},
    {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {"pod": 1}, "values": []}]}},
    {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "value": [1, "1"]}]}},
    *(
        {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}}
        for values in ("ab", [1], [[1]], [[1, "1", 2]], [[1, "1"], [2]], [["1", "1"]], [[1, 1]], [[1, "one"]], ["ab"])
    ),
]


@pytest.mark.parametrize("body", SHAPES, ids=json.dumps)
async def test_any_other_json_is_a_bad_response(
    serving: Callable[..., ScriptedServer], client_of: Opens, body: object
) -> None:
    server = serving(responding(200, json.dumps(body)))
    assert (await error_of(client_of(server.url))).reason == "BadResponse"


async def test_a_refused_connection(client_of: Opens) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        error = await error_of(client_of(url))
    assert error.reason == "ConnectionRefused"
    assert "refused the connection" in error.message


async def test_an_unknown_host_is_unreachable(client_of: Opens) -> None:
    error = await error_of(client_of("http://prometheus.invalid:9090"))
    assert (error.reason, "can't be resolved" in error.message) == ("Unreachable", True)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_transient_error_is_retried_once(
    serving: Callable[..., ScriptedServer], client_of: Opens, status: int
) -> None:
    server = serving(responding(status, "starting"), matrix(one()))
    assert len((await read(client_of(server.url))).rows) == 1
    assert len(server.requests) == 5


async def test_a_permanent_503_is_retried_twice(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(responding(503, "starting"))
    assert (await error_of(client_of(server.url))).reason == "Unreachable"
    assert len(server.requests) == 3


async def test_a_closed_connection_is_retried_once(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    def breaks_off(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length", "100")
        exchange.end_headers()
        exchange.wfile.write(b'{"status":')
        exchange.close_connection = True

    server = serving(breaks_off, matrix())
    assert (await read(client_of(server.url))).rows == ()
    assert (await error_of(client_of(serving(breaks_off).url))).reason == "Unreachable"


async def test_redirects_are_not_followed(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    elsewhere = serving(matrix())
    server = serving(responding(302, "", Location=f"{elsewhere.url}/api/v1/query?token={HOSTILE}"))
    error = await error_of(client_of(server.url))
    assert error.reason == "Redirected"
    assert HOSTILE not in error.message
    assert elsewhere.requests == []


async def test_ping(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}]}
    server = serving(responding(200, json.dumps({"status": "success", "data": vector})))
    await client_of(server.url).ping("default")
    assert server.requests[0].form["query"] == "vector(1)"
    with pytest.raises(PrometheusUnavailableError, match="BadResponse"):
        await client_of(serving(responding(200, json.dumps(EMPTY_OK))).url).ping("default")


async def test_the_error_for_an_unknown_connection_names_the_known_ones(client_of: Opens) -> None:
    with pytest.raises(
        TerminalError, match="ConnectionNotFound: there is no connection 'prod'; connections are: default"
    ):
        await client_of("http://127.0.0.1:1").read("prod", ReadRequest("ai", ["chat-1"], SampleRange(90.0, None), 0.0))


async def test_the_environment_is_ignored(
    serving: Callable[..., ScriptedServer], client_of: Opens, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {HOSTILE}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server = serving(matrix())
    await read(client_of(server.url))
    assert "authorization" not in server.requests[0].headers


async def test_a_secret_echoed_by_the_server_is_redacted(
    serving: Callable[..., ScriptedServer], client_of: Opens, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = tmp_path / "token"
    token.write_text(f"{HOSTILE}\n")
    server = serving(failing(400, "bad_data", f"bad header Bearer {HOSTILE}"))
    client = client_of(server.url, authorization={"credentialsFile": str(token)})
    error = await error_of(client)
    assert server.requests[0].headers["authorization"] == f"Bearer {HOSTILE}"
    assert "bad header Bearer ***" in error.message
    assert HOSTILE not in caplog.text + repr(vars(client)) + "".join(traceback.format_exception(error))
