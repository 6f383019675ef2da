"""How one request becomes JSON or one of memroll's errors, whatever the server does."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config

from memroll.clients.kube import api_client
from memroll.clients.kube.api_client import Api, path_of
from memroll.errors import ClusterUnavailable, Conflict, MemrollError, NotFound, Stalled
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
        pytest.param(400, Stalled, "Rejected", id="a bad request is for a person"),
        pytest.param(401, Stalled, "Forbidden", id="an unknown caller is for a person"),
        pytest.param(403, Stalled, "Forbidden", id="a missing right is for a person"),
        pytest.param(404, NotFound, "NotFound", id="a missing object is a fact"),
        pytest.param(409, Conflict, "Conflict", id="a stale write is a conflict"),
        pytest.param(422, Stalled, "Rejected", id="an invalid object is for a person"),
        pytest.param(429, ClusterUnavailable, "TooManyRequests", id="a throttling server is waited for"),
        pytest.param(500, ClusterUnavailable, "ServerError", id="a broken server is waited for"),
        pytest.param(503, ClusterUnavailable, "ServerError", id="an unavailable server is waited for"),
    ],
)
async def test_every_refusal_becomes_an_error_that_says_what_is_next(
    server: FakeApi, api: Api, status: int, kind: type[MemrollError], reason: str
) -> None:
    server.faults.append(Fault(str(status), message='pods "x" is forbidden: can\'t patch', times=9))
    with pytest.raises(kind) as caught:
        await api.request("PATCH", f"{PODS}/x", body={}, content_type=api_client.MERGE_PATCH)
    assert caught.value.reason == reason
    assert caught.value.message == f'PATCH {PODS}/x: pods "x" is forbidden: can\'t patch'


async def test_a_message_is_never_longer_than_300_characters(server: FakeApi, api: Api) -> None:
    server.faults.append(Fault("422", message="x" * 5000))
    with pytest.raises(Stalled) as caught:
        await api.request("POST", PODS, body={"metadata": {"name": "x"}})
    assert len(caught.value.message) == 300


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("reset", times=2), id="two connection resets"),
        pytest.param(Fault("503", times=2), id="two server errors"),
        pytest.param(Fault("429", headers={"Retry-After": "0"}, times=2), id="two throttled answers"),
    ],
)
async def test_a_read_is_tried_three_times(server: FakeApi, api: Api, fault: Fault) -> None:
    pods(server, 1)
    server.faults.append(fault)
    assert (await api.request("GET", f"{PODS}/chat-000"))["metadata"]["name"] == "chat-000"
    assert len(server.calls("GET")) == 3


async def test_a_read_is_not_tried_a_fourth_time(server: FakeApi, api: Api) -> None:
    server.faults.append(Fault("500", times=9))
    with pytest.raises(ClusterUnavailable, match="ServerError"):
        await api.request("GET", PODS)
    assert len(server.calls("GET")) == 3


# Not PUT and DELETE on a reset: aiohttp itself sends those once more. Ours all name a resourceVersion or uid.
ONCE = [(m, k) for m in ("POST", "PATCH", "PUT", "DELETE") for k in ("500", "429")]


@pytest.mark.parametrize(("method", "kind"), [*ONCE, ("POST", "reset"), ("PATCH", "reset")])
async def test_a_write_is_sent_once(server: FakeApi, api: Api, method: str, kind: str) -> None:
    server.faults.append(Fault(kind, times=9))
    with pytest.raises(ClusterUnavailable):
        await api.request(method, f"{PODS}/chat-000", body={})
    assert len(server.requests) == 1


async def test_a_pause_that_does_not_fit_is_handed_to_the_caller(server: FakeApi, api: Api) -> None:
    server.faults.append(Fault("429", headers={"Retry-After": "30"}))
    with pytest.raises(ClusterUnavailable) as caught:
        await api.request("GET", PODS)
    assert caught.value.retry_after_s == 30
    assert len(server.requests) == 1


async def test_a_hanging_server_times_out(server: FakeApi, api: Api) -> None:
    server.faults.append(Fault("hang", times=9))
    with pytest.raises(ClusterUnavailable) as caught:
        await api.request("GET", PODS, timeout_s=0.2)
    assert caught.value.reason == "Timeout"


async def test_an_object_that_is_nested_too_deeply_is_for_a_person(server: FakeApi, api: Api) -> None:
    """A kind without a schema, such as a Rollout, may be nested as deeply as its author likes."""
    server.faults.append(Fault("deep", times=9))
    with pytest.raises(Stalled, match="nested too deeply") as caught:
        await api.request("GET", f"{PODS}/x")
    assert caught.value.reason == "Unreadable"
    assert server.faults[0].times == 8, "asking again would not help"


async def test_no_server_at_all_is_unreachable() -> None:
    api = Api(ApiClient(Configuration(host="http://127.0.0.1:9")))
    with pytest.raises(ClusterUnavailable) as caught:
        await api.request("POST", PODS, body={})
    assert caught.value.reason == "Unreachable"
    await api.close()


async def test_no_configuration_is_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Stalled, match=r"NoCluster: .*missing does not exist: set KUBECONFIG"):
        await Api.connect(str(tmp_path / "missing"))


async def test_a_configuration_that_names_no_cluster_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    with pytest.raises(Stalled, match=r"NoCluster: .*current-context"):
        await Api.connect(str(tmp_path / "config"))


async def test_of_several_configurations_one_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    with pytest.raises(Stalled, match=r"NoCluster: .*current-context"):
        await Api.connect(os.pathsep.join((str(tmp_path / "missing"), str(tmp_path / "config"))))


async def test_pages_yield_every_item_once(server: FakeApi, api: Api) -> None:
    pods(server, 25)
    names = [pod["metadata"]["name"] async for pod in api.pages(PODS, limit=10)]
    assert names == [f"chat-{i:03}" for i in range(25)]
    assert len(server.calls("GET")) == 3


async def test_an_expired_list_is_begun_anew_and_repeats_nothing(server: FakeApi, api: Api) -> None:
    pods(server, 25)
    server.faults.append(Fault("410", path="continue=20"))
    names = [pod["metadata"]["name"] async for pod in api.pages(PODS, limit=10)]
    assert names == [f"chat-{i:03}" for i in range(25)]
    assert len(server.calls("GET")) == 6


async def test_a_list_that_always_expires_is_given_up(server: FakeApi, api: Api) -> None:
    pods(server, 25)
    server.faults.append(Fault("410", path="continue", times=99))
    with pytest.raises(ClusterUnavailable, match="Expired"):
        _ = [pod async for pod in api.pages(PODS, limit=10)]


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
    api = Api(ApiClient(configuration))
    await api.request("GET", PODS)
    token.write_text("second")
    loader.token_expires_at -= loader._token_refresh_period
    await api.request("GET", PODS)
    token.write_text("")
    loader.token_expires_at -= loader._token_refresh_period
    with pytest.raises(ClusterUnavailable, match="Unreachable"):
        await api.request("PATCH", PODS)
    await api.close()
    assert server.tokens == ["bearer first", "bearer second"]


async def test_many_requests_at_once_are_never_mixed_up(server: FakeApi, api: Api) -> None:
    pods(server, 100)
    names = [f"chat-{i:03}" for i in range(100)]
    answers = await asyncio.gather(*(api.request("GET", f"{PODS}/{name}") for name in names))
    assert [a["metadata"]["name"] for a in answers] == names


def test_a_name_cannot_leave_its_place_in_a_path() -> None:
    assert path_of("/api/v1", "a/b", "pods", "../x?y", "eviction") == (
        "/api/v1/namespaces/a%2Fb/pods/..%2Fx%3Fy/eviction"
    )
