"""Proxies and gateways in front of a store, by a scripted server: GET, URLs of limited length, tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.session import MAX_URL_CHARS
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import PrometheusUnavailableError
from tests.contract.prometheus.default_reads import error_of, prefilter, read
from tests.contract.prometheus.scripted_server import (
    Exchange,
    ReceivedRequest,
    ScriptedServer,
    failing,
    matrix,
    responding,
    vector,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.prometheus.conftest import Opens

NO_NAMESPACE = "Bad Request. The request or configuration is malformed.\n"
OTHER_NAMESPACE = 'label matcher value (namespace="other") conflicts with injected value (namespace="ai")'
PODS = [f"recommendation-service-v2-6d5c7f9b8d-{n:05}" for n in range(250)]


def request(exchange: Exchange) -> ReceivedRequest:
    return exchange.server.scripted.requests[-1]


def tenancy_port(exchange: Exchange) -> None:
    """Behave as OpenShift's port 9092 for a user who may `get` pods' metrics in the namespace `ai`."""
    parameters = request(exchange).parameters
    if parameters.get("namespace") is None:
        exchange.send(400, NO_NAMESPACE)
    elif request(exchange).method != "GET" or parameters["namespace"] != "ai":
        exchange.send(403, "Forbidden (user=system:serviceaccount:memroll-system:memroll, verb=create)\n")
    elif 'namespace="ai"' not in parameters["query"]:
        failing(400, "prom-label-proxy", OTHER_NAMESPACE)(exchange)
    else:
        matrix()(exchange)


async def test_a_get_has_the_query_in_its_url(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(matrix())
    client = client_of(f"{server.url}/prometheus/", method="GET", queryParams={"namespace": "ai"})
    assert (await read(client)).rows == ()
    rss = server.requests[0]
    assert (rss.method, rss.path, rss.form) == ("GET", "/prometheus/api/v1/query", {})
    assert 9.0 < float(rss.parameters.pop("timeout")) <= 10.01
    assert rss.parameters == {
        "query": 'container_memory_rss{container!="",container!="POD",pod=~"chat-1",namespace="ai"}[90s]',
        "time": "1020.000",
        "namespace": "ai",
        "partial_response": "false",
        "dedup": "true",
        "max_source_resolution": "1s",
        "latency_offset": "1ms",
        "stats": "all",
    }


async def test_the_pods_of_a_get_are_divided_over_short_urls(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    lengths: list[int] = []

    def measures(exchange: Exchange) -> None:
        lengths.append(len(exchange.path))
        (vector if "deriv" in exchange.path or "[" not in request(exchange).parameters["query"] else matrix)()(exchange)

    server = serving(measures)
    client = client_of(server.url, method="GET", matchLabels={"cluster": "prod-eu"})
    by_step = ReadRequest("ai", PODS, SampleRange(7200.0, 60.0), 1e9, load_metric="http_requests_total")
    await client.read("default", by_step)
    asked = {pod for r in server.requests for pod in PODS if pod in r.parameters["query"]}
    assert asked == set(PODS)
    assert max(lengths) < MAX_URL_CHARS
    server.script[:] = [vector()]
    count = len(server.requests)
    await client.prefilter("default", "ai", PODS, [90.0], 1020.0)
    assert {pod for r in server.requests[count:] for pod in PODS if pod in r.parameters["query"]} == set(PODS)


async def test_a_url_that_is_still_too_long_is_refused(
    serving: Callable[..., ScriptedServer], client_of: Opens
) -> None:
    server = serving(matrix())
    long = {f"label_{n}": "x" * 1000 for n in range(8)}
    error = await error_of(client_of(server.url, method="GET", matchLabels=long))
    assert error.reason == "TooLarge"
    assert f"at most {MAX_URL_CHARS} are sent: set method: POST, or use fewer matchLabels" in error.message
    assert server.requests == []
    assert (await read(client_of(server.url, matchLabels=long))).rows == (), "a form is not limited"


@pytest.mark.parametrize("status", [414, 431])
async def test_a_server_with_a_lower_limit(
    serving: Callable[..., ScriptedServer], client_of: Opens, status: int
) -> None:
    error = await error_of(client_of(serving(responding(status, "too long")).url, method="GET"))
    assert (error.reason, "set method: POST" in error.message) == ("TooLarge", True)


async def test_the_tenancy_port_of_openshift(serving: Callable[..., ScriptedServer], client_of: Opens) -> None:
    server = serving(tenancy_port)
    errors = [
        await error_of(client_of(server.url)),
        await error_of(client_of(server.url, queryParams={"namespace": "ai"})),
    ]
    assert [e.reason for e in errors] == ["BadQuery", "Forbidden"]
    assert "HTTP 400: OpenShift's port 9092 requires queryParams.namespace" in errors[0].message
    assert "or set method: GET where a proxy does not permit POST" in errors[1].message
    client = client_of(server.url, queryParams={"namespace": "ai"}, method="GET")
    assert (await read(client)).rows == ()
    with pytest.raises(PrometheusUnavailableError, match="use one connection per namespace"):
        await client.prefilter("default", "other", ["chat-1"], [90.0], 1020.0)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_get_is_no_remedy_for_itself(
    serving: Callable[..., ScriptedServer], client_of: Opens, method: str
) -> None:
    error = await error_of(client_of(serving(responding(403, "no")).url, method=method))
    assert error.reason == "Forbidden"
    assert ("method: GET" in error.message) == (method == "POST")


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        pytest.param("no org id\n", "set the tenant, in the connection's headers.X-Scope-OrgID", id="Mimir"),
        pytest.param("denied", "check the connection's credentials", id="any other"),
    ],
)
async def test_a_missing_tenant_and_wrong_credentials_have_different_remedies(
    serving: Callable[..., ScriptedServer], client_of: Opens, body: str, remedy: str
) -> None:
    with pytest.raises(PrometheusUnavailableError) as caught:
        await prefilter(client_of(serving(responding(401, body)).url))
    assert caught.value.reason == "Unauthorized"
    assert caught.value.message.endswith(f"HTTP 401: {remedy}")
