"""Every way a server can fail ends in one typed error, in time and without a secret."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from memroll.detection.samples import Span
from memroll.errors import PrometheusUnavailable, Stalled
from tests.contract.prometheus.asking import read, screen, trouble_of
from tests.contract.prometheus.scripted import EMPTY_OK, Exchange, Scripted, fails, matrix, one, says, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.prometheus.conftest import Opens


HOSTILE = "s3cr3t-c4n4ry-0123456789"


async def test_posts_the_query_in_the_body(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    server = serving(matrix())
    provider = provider_of(f"{server.url}/prometheus/", queryParams={"namespace": "ai"}, headers={"X-Scope-OrgID": "t"})
    assert (await read(provider)).rows == ()
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
        "max_source_resolution": "0s",
    }
    assert working_set.form["query"].startswith("container_memory_working_set_bytes{")
    assert ooms.form["query"].startswith("container_oom_events_total{")
    assert load.form["query"].startswith("(rate(container_cpu_usage_seconds_total{")


async def test_long_pod_lists_are_asked_in_chunks(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    server = serving(matrix())
    await provider_of(server.url).read("default", "ai", [f"chat-{n}" for n in range(250)], Span(90.0, None), 1020.0)
    assert len(server.requests) == 3 * 4
    assert max(len(r.form["query"]) for r in server.requests) < 4000


async def test_no_pods_ask_nothing(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    server = serving(matrix())
    reading = await provider_of(server.url).read("default", "ai", [], Span(90.0, None), 1020.0)
    assert (reading.rows, server.requests) == ((), [])


async def test_reads_rows_and_drops_what_is_foreign_or_not_finite(
    serving: Callable[..., Scripted], provider_of: Opens
) -> None:
    odd = [[930, "9"], [1000, "NaN"], [1001, "+Inf"], [1002.125, "3e2"], [1030, "9"]]
    rss = matrix(one(values=odd), one(namespace="other"), one(pod="chat-2"), one(name="b" * 64))
    server = serving(rss, matrix(one()), matrix())
    reading = await read(provider_of(server.url))
    rows = {
        r.container_id[0]: (r.rss.times_s.tolist(), r.rss.values.tolist(), len(r.working_set)) for r in reading.rows
    }
    assert rows == {"a": ([1002.125], [300.0], 2), "b": ([1000.0, 1015.5], [1.0, 2.0], 0)}
    assert reading.at_s == 1020.0


async def test_a_screening_reads_figures(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    labels = one()["metric"]
    answers = [
        vector({"metric": labels, "value": [1020, v]}, {"metric": labels | {"namespace": "b"}, "value": [1020, "9"]})
        for v in ("2.5", "6", "1e8", "2e8", "1015.5")
    ]
    server = serving(*answers)
    [row] = (await screen(provider_of(server.url))).rows
    assert (row.pod, row.container, row.container_id) == ("chat-1", "chat", "a" * 64)
    assert (row.slopes_bytes_per_s, row.samples) == ((2.5,), 6)
    assert (row.rss_bytes, row.working_set_bytes, row.last_s) == (1e8, 2e8, 1015.5)
    assert {r.form["time"] for r in server.requests} == {"1020.000"}


BROKEN = [
    pytest.param(says(401, "no"), "Unauthorized", id="401"),
    pytest.param(fails(422, "execution", "too many samples"), "BadQuery", id="422"),
    pytest.param(vector(warnings=["a store is gone"]), "PartialData", id="a warning"),
    pytest.param(says(200, ""), "BadResponse", id="an empty body"),
]


@pytest.mark.parametrize("after", [0, 2, 4])
@pytest.mark.parametrize(("broken", "reason"), BROKEN)
async def test_a_screening_is_whole_or_none(
    serving: Callable[..., Scripted], provider_of: Opens, after: int, broken: Callable[[Exchange], None], reason: str
) -> None:
    server = serving(*[vector()] * after, broken)
    with pytest.raises(PrometheusUnavailable) as caught:
        await screen(provider_of(server.url))
    assert (caught.value.reason, len(server.requests)) == (reason, after + 1)


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_a_read_is_whole_or_none(serving: Callable[..., Scripted], provider_of: Opens, after: int) -> None:
    """Not even the load may be missing where the server says that it could not tell."""
    server = serving(*[matrix(one())] * after, fails(422, "execution", "too many samples"))
    assert (await trouble_of(provider_of(server.url))).reason == "BadQuery"
    assert len(server.requests) == after + 1


STATUSES = [
    pytest.param(says(401, "no"), "Unauthorized", "HTTP 401", id="401 is Unauthorized"),
    pytest.param(says(403, "no"), "Forbidden", "HTTP 403", id="403 is Forbidden"),
    pytest.param(fails(400, "bad_data", "parse error"), "BadQuery", "HTTP 400 (parse error)", id="400 says why"),
    pytest.param(fails(422, "execution", "too many samples"), "BadQuery", "(too many samples)", id="422 says why"),
    pytest.param(fails(422, "execution", "x" * 900), "BadQuery", f"({'x' * 200})", id="a long error is cut"),
    pytest.param(fails(503, "timeout", "query timed out"), "QueryTimeout", "HTTP 503", id="the server's own timeout"),
    pytest.param(says(500, "<b>oops</b>"), "Unreachable", "HTTP 500: see", id="500 shows no body"),
    pytest.param(says(429, "slow down"), "Unreachable", "HTTP 429: it limits", id="429 is not hammered"),
    pytest.param(says(404, "nothing here"), "BadResponse", "check the url's path", id="404 is a wrong path"),
    pytest.param(says(200, "<html>Sign in</html>"), "BadResponse", "no valid JSON", id="a login page"),
    pytest.param(says(200, ""), "BadResponse", "no valid JSON", id="an empty body"),
    pytest.param(matrix(warnings=["a store is gone"]), "PartialData", "1 warning(s)", id="a warning is a refusal"),
]


@pytest.mark.parametrize(("answer", "reason", "text"), STATUSES)
async def test_one_answer_one_reason(
    serving: Callable[..., Scripted], provider_of: Opens, answer: Callable[[Exchange], None], reason: str, text: str
) -> None:
    server = serving(answer)
    trouble = await trouble_of(provider_of(server.url))
    assert trouble.reason == reason
    assert text in trouble.message
    assert server.host in trouble.message
    assert "<" not in trouble.message
    assert "store" not in trouble.message
    assert len(trouble.message) < 400
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
async def test_any_other_shape_is_a_bad_response(
    serving: Callable[..., Scripted], provider_of: Opens, body: object
) -> None:
    server = serving(says(200, json.dumps(body)))
    assert (await trouble_of(provider_of(server.url))).reason == "BadResponse"


async def test_nothing_listens(provider_of: Opens) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        trouble = await trouble_of(provider_of(url))
    assert trouble.reason == "ConnectionRefused"
    assert "refused the connection" in trouble.message


async def test_an_unknown_host_is_unreachable(provider_of: Opens) -> None:
    trouble = await trouble_of(provider_of("http://prometheus.invalid:9090"))
    assert (trouble.reason, "can't be resolved" in trouble.message) == ("Unreachable", True)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_passing_failure_is_tried_once_more(
    serving: Callable[..., Scripted], provider_of: Opens, status: int
) -> None:
    server = serving(says(status, "starting"), matrix(one()))
    assert len((await read(provider_of(server.url))).rows) == 1
    assert len(server.requests) == 5


async def test_a_lasting_503_is_tried_twice_at_most(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    server = serving(says(503, "starting"))
    assert (await trouble_of(provider_of(server.url))).reason == "Unreachable"
    assert len(server.requests) == 2


async def test_a_connection_that_breaks_off_is_tried_once_more(
    serving: Callable[..., Scripted], provider_of: Opens
) -> None:
    def breaks_off(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length", "100")
        exchange.end_headers()
        exchange.wfile.write(b'{"status":')
        exchange.close_connection = True

    server = serving(breaks_off, matrix())
    assert (await read(provider_of(server.url))).rows == ()
    assert (await trouble_of(provider_of(serving(breaks_off).url))).reason == "Unreachable"


async def test_redirects_are_not_followed(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    elsewhere = serving(matrix())
    server = serving(says(302, "", Location=f"{elsewhere.url}/api/v1/query?token={HOSTILE}"))
    trouble = await trouble_of(provider_of(server.url))
    assert trouble.reason == "Redirected"
    assert HOSTILE not in trouble.message
    assert elsewhere.requests == []


async def test_ping(serving: Callable[..., Scripted], provider_of: Opens) -> None:
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}]}
    server = serving(says(200, json.dumps({"status": "success", "data": vector})))
    await provider_of(server.url).ping("default")
    assert server.requests[0].form["query"] == "vector(1)"
    with pytest.raises(PrometheusUnavailable, match="BadResponse"):
        await provider_of(serving(says(200, json.dumps(EMPTY_OK))).url).ping("default")


async def test_an_unknown_connection_names_the_known_ones(provider_of: Opens) -> None:
    with pytest.raises(Stalled, match="ConnectionNotFound: there is no connection 'prod'; connections are: default"):
        await provider_of("http://127.0.0.1:1").read("prod", "ai", ["chat-1"], Span(90.0, None), 0.0)


async def test_the_environment_adds_nothing(
    serving: Callable[..., Scripted], provider_of: Opens, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {HOSTILE}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server = serving(matrix())
    await read(provider_of(server.url))
    assert "authorization" not in server.requests[0].headers


async def test_a_secret_that_the_server_echoes_is_blotted_out(
    serving: Callable[..., Scripted], provider_of: Opens, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = tmp_path / "token"
    token.write_text(f"{HOSTILE}\n")
    server = serving(fails(400, "bad_data", f"bad header Bearer {HOSTILE}"))
    provider = provider_of(server.url, authorization={"credentialsFile": str(token)})
    trouble = await trouble_of(provider)
    assert server.requests[0].headers["authorization"] == f"Bearer {HOSTILE}"
    assert "bad header Bearer ***" in trouble.message
    assert HOSTILE not in caplog.text + repr(vars(provider)) + "".join(traceback.format_exception(trouble))
