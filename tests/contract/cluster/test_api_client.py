"""The API client returns JSON or raises one of memroll's errors, whatever the server does."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config

from memroll import __version__, clock
from memroll.clients.kube import api_client, response_body
from memroll.clients.kube.api_client import KubeApi, build_path
from memroll.clients.kube.connection import environment_proxy
from memroll.errors import ClusterUnavailableError, ConflictError, MemrollError, NotFoundError, TerminalError
from tests.contract.cluster.fake_api import FakeApi, Fault

if TYPE_CHECKING:
    from pathlib import Path

PODS = "/api/v1/namespaces/ai/pods"


def pods(server: FakeApi, count: int) -> None:
    for i in range(count):
        server.add(PODS, {"metadata": {"name": f"chat-{i:03}"}})


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        pytest.param(400, TerminalError, "Rejected", id="a bad request is terminal"),
        pytest.param(401, TerminalError, "Forbidden", id="an unknown caller is terminal"),
        pytest.param(403, TerminalError, "Forbidden", id="a missing permission is terminal"),
        pytest.param(404, NotFoundError, "NotFound", id="a missing object"),
        pytest.param(409, ConflictError, "Conflict", id="a stale write is a conflict"),
        pytest.param(422, TerminalError, "Rejected", id="an invalid object is terminal"),
        pytest.param(429, ClusterUnavailableError, "TooManyRequests", id="a throttling server is retried"),
        pytest.param(500, ClusterUnavailableError, "ServerError", id="a broken server is retried"),
        pytest.param(503, ClusterUnavailableError, "ServerError", id="an unavailable server is retried"),
    ],
)
async def test_every_error_status_becomes_one_of_memroll_s_errors(
    server: FakeApi, api: KubeApi, status: int, kind: type[MemrollError], reason: str
) -> None:
    server.faults.append(Fault(str(status), message='pods "x" is forbidden: can\'t patch', times=9))
    with pytest.raises(kind) as caught:
        await api.request("PATCH", f"{PODS}/x", body={}, content_type=api_client.MERGE_PATCH)
    assert caught.value.reason == reason
    assert caught.value.message == f'PATCH {PODS}/x: pods "x" is forbidden: can\'t patch'


async def test_a_message_is_truncated_to_300_characters(server: FakeApi, api: KubeApi) -> None:
    server.faults.append(Fault("422", message="x" * 5000))
    with pytest.raises(TerminalError) as caught:
        await api.request("POST", PODS, body={"metadata": {"name": "x"}})
    assert len(caught.value.message) == 300


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("reset", times=2), id="two connection resets"),
        pytest.param(Fault("503", times=2), id="two server errors"),
        pytest.param(Fault("429", headers={"Retry-After": "0"}, times=2), id="two throttled responses"),
    ],
)
async def test_a_read_is_tried_three_times(server: FakeApi, api: KubeApi, fault: Fault) -> None:
    pods(server, 1)
    server.faults.append(fault)
    assert (await api.request("GET", f"{PODS}/chat-000"))["metadata"]["name"] == "chat-000"
    assert len(server.calls("GET")) == 3


async def test_a_read_is_not_tried_a_fourth_time(server: FakeApi, api: KubeApi) -> None:
    server.faults.append(Fault("500", times=9))
    with pytest.raises(ClusterUnavailableError, match="ServerError"):
        await api.request("GET", PODS)
    assert len(server.calls("GET")) == 3


# Without PUT and DELETE on a reset: aiohttp repeats those. All of memroll's carry a resourceVersion or uid.
ONCE = [(m, k) for m in ("POST", "PATCH", "PUT", "DELETE") for k in ("500", "429")]


@pytest.mark.parametrize(("method", "kind"), [*ONCE, ("POST", "reset"), ("PATCH", "reset")])
async def test_a_write_is_sent_once(server: FakeApi, api: KubeApi, method: str, kind: str) -> None:
    server.faults.append(Fault(kind, times=9))
    with pytest.raises(ClusterUnavailableError):
        await api.request(method, f"{PODS}/chat-000", body={})
    assert len(server.requests) == 1


async def test_a_retry_after_beyond_the_timeout_is_raised_to_the_caller(server: FakeApi, api: KubeApi) -> None:
    server.faults.append(Fault("429", headers={"Retry-After": "30"}))
    with pytest.raises(ClusterUnavailableError) as caught:
        await api.request("GET", PODS)
    assert caught.value.retry_after_s == 30
    assert len(server.requests) == 1


async def test_a_hanging_server_times_out(server: FakeApi, api: KubeApi) -> None:
    server.faults.append(Fault("hang", times=9))
    with pytest.raises(ClusterUnavailableError) as caught:
        await api.request("GET", PODS, timeout_s=0.2)
    assert caught.value.reason == "Timeout"


async def test_an_object_that_is_nested_too_deeply_is_a_terminal_error(server: FakeApi, api: KubeApi) -> None:
    """The nesting of a kind without a schema, such as a Rollout, has no limit."""
    server.faults.append(Fault("deep", times=9))
    with pytest.raises(TerminalError, match="nested too deeply") as caught:
        await api.request("GET", f"{PODS}/x")
    assert caught.value.reason == "Unreadable"
    assert server.faults[0].times == 8, "not retried"


async def test_a_missing_server_is_unreachable() -> None:
    api = KubeApi(ApiClient(Configuration(host="http://127.0.0.1:9")))
    with pytest.raises(ClusterUnavailableError) as caught:
        await api.request("POST", PODS, body={})
    assert caught.value.reason == "Unreachable"
    await api.close()


async def test_a_missing_kubeconfig_is_a_terminal_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(TerminalError, match=r"NoCluster: .*missing does not exist: set KUBECONFIG"):
        await KubeApi.connect(str(tmp_path / "missing"))


async def test_the_error_for_an_incomplete_kubeconfig_names_the_missing_field(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    with pytest.raises(TerminalError, match=r"NoCluster: .*current-context"):
        await KubeApi.connect(str(tmp_path / "config"))


async def test_one_of_several_kubeconfigs_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    with pytest.raises(TerminalError, match=r"NoCluster: .*current-context"):
        await KubeApi.connect(os.pathsep.join((str(tmp_path / "missing"), str(tmp_path / "config"))))


async def test_pages_yield_every_item_once(server: FakeApi, api: KubeApi) -> None:
    pods(server, 25)
    names = [pod["metadata"]["name"] async for pod in api.list_items(PODS, limit=10)]
    assert names == [f"chat-{i:03}" for i in range(25)]
    assert len(server.calls("GET")) == 3


async def test_a_page_is_forgotten_before_the_next_is_requested(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Page(dict[str, Any]):
        """Dictionary that a weak reference can refer to."""

    pages: list[weakref.ref[Page]] = []
    execute = api._execute

    async def observed(request: api_client.ApiRequest) -> dict[str, Any]:
        assert [page() for page in pages] == [None] * len(pages)
        page = Page(await execute(request))
        page["items"] = [Page(item) for item in page["items"]]
        pages.extend(map(weakref.ref, (page, *page["items"][:-1])))
        return page

    monkeypatch.setattr(api, "_execute", observed)
    pods(server, 25)
    assert len([pod["metadata"]["name"] async for pod in api.list_items(PODS, limit=10)]) == 25
    assert len(pages) == 25


async def test_a_page_that_is_too_large_is_requested_again_with_fewer_objects(server: FakeApi, api: KubeApi) -> None:
    pods(server, 60)
    for i in range(10, 50):
        server.touch(f"{PODS}/chat-{i:03}", lambda raw: raw["metadata"].update(annotations={"fat": "x" * 2**18}))
    names = [pod["metadata"]["name"] async for pod in api.list_items(PODS, limit=50)]
    assert names == [f"chat-{i:03}" for i in range(60)]
    limits = [int(call.partition("limit=")[2].partition("&")[0]) for call in server.calls("GET")]
    assert limits[:3] == [50, 12, 24]
    assert len(limits) < 16


async def test_one_object_may_be_larger_than_a_page(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_body, "MAX_PAGE_BYTES", 10)
    pods(server, 3)
    assert len([pod async for pod in api.list_items(PODS, limit=50)]) == 3


async def test_an_expired_list_is_restarted_without_repeated_items(server: FakeApi, api: KubeApi) -> None:
    pods(server, 25)
    server.faults.append(Fault("410", path="continue=20"))
    names = [pod["metadata"]["name"] async for pod in api.list_items(PODS, limit=10)]
    assert names == [f"chat-{i:03}" for i in range(25)]
    assert len(server.calls("GET")) == 6


async def test_a_list_that_always_expires_fails(server: FakeApi, api: KubeApi) -> None:
    pods(server, 25)
    server.faults.append(Fault("410", path="continue", times=99))
    with pytest.raises(ClusterUnavailableError, match="Expired"):
        _ = [pod async for pod in api.list_items(PODS, limit=10)]


async def test_a_rotated_service_account_token_is_used(server: FakeApi, tmp_path: Path) -> None:
    token, certificate = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    configuration = Configuration()
    loader = incluster_config.InClusterConfigLoader(
        str(token), str(certificate), environ={"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}
    )
    certificate.write_text("x")
    loader.load_and_set(configuration)
    loader.host, loader.ssl_ca_cert = f"http://127.0.0.1:{server.port}", None
    loader._set_config(configuration)
    api = KubeApi(ApiClient(configuration))
    await api.request("GET", PODS)
    token.write_text("second")
    loader.token_expires_at -= loader._token_refresh_period
    await api.request("GET", PODS)
    token.write_text("")
    loader.token_expires_at -= loader._token_refresh_period
    with pytest.raises(ClusterUnavailableError, match="Unreachable"):
        await api.request("PATCH", PODS)
    await api.close()
    assert server.tokens == ["bearer first", "bearer second"]


async def test_concurrent_requests_get_their_own_responses(server: FakeApi, api: KubeApi) -> None:
    pods(server, 100)
    names = [f"chat-{i:03}" for i in range(100)]
    responses = await asyncio.gather(*(api.request("GET", f"{PODS}/{name}") for name in names))
    assert [a["metadata"]["name"] for a in responses] == names


def test_names_are_escaped_in_paths() -> None:
    assert build_path("/api/v1", "a/b", "pods", "../x?y", "eviction") == (
        "/api/v1/namespaces/a%2Fb/pods/..%2Fx%3Fy/eviction"
    )


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_would_lead_to_another_place_is_one_of_no_object(name: str) -> None:
    for namespace, plural in ((name, "pods"), ("ai", "pods")):
        with pytest.raises(NotFoundError, match="no object has the name"):
            build_path("/api/v1", namespace, plural, name)
    with pytest.raises(NotFoundError):
        build_path("/api/v1", name, "pods", "chat-0")


async def test_requests_name_memroll_as_their_client(server: FakeApi, api: KubeApi) -> None:
    """The API server takes the first part as the manager in managedFields, and audit logs contain it."""
    server.add("/api/v1/namespaces/ai/pods", {"metadata": {"name": "chat-0"}})
    await api.request("GET", build_path("/api/v1", "ai", "pods", "chat-0"))
    assert server.agents == {f"memroll/{__version__}"}


async def test_the_time_of_the_api_server_is_that_of_its_last_response(server: FakeApi, api: KubeApi) -> None:
    assert api.server_now() is None, "nothing was requested yet"
    await api.request("GET", PODS)
    at = api.server_now()
    assert at is not None
    assert abs((clock.now() - at).total_seconds()) < 5


@pytest.mark.parametrize("header", ["", "soon", "Mon, 99 Foo 2026 10:00:00 GMT"])
def test_a_response_without_a_valid_date_has_no_time(header: str) -> None:
    assert response_body.parse_date(header) is None


async def test_neither_netrc_nor_a_later_environment_is_used(
    server: FakeApi, api: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    await api.request("GET", PODS)
    assert server.tokens == ["Bearer secret-token"]


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        pytest.param({}, None, id="no proxy"),
        pytest.param({"https_proxy": "http://proxy:3128"}, "http://proxy:3128", id="a proxy"),
        pytest.param({"http_proxy": "http://proxy:3128"}, None, id="one for another scheme"),
        pytest.param({"https_proxy": "http://proxy:3128", "no_proxy": "10.0.0.1"}, None, id="not for this host"),
    ],
)
def test_the_proxy_is_read_from_the_environment_once(
    environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy("https://10.0.0.1:6443") == proxy
