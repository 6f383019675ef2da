"""Autoscalers, read from the API server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.kube import autoscalers
from memroll.clients.kube.autoscalers import KubeAutoscalerReader
from tests.contract.cluster.fake_api import Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

HPA = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"
VPA = "/apis/autoscaling.k8s.io/v1/namespaces/{}/verticalpodautoscalers"
KEDA = "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects"
TARGET = {"kind": "Deployment", "name": "chat"}


def add_all(server: FakeApi, namespace: str = "ai") -> None:
    server.add(HPA.format(namespace), {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": TARGET}})
    server.add(VPA.format(namespace), {"metadata": {"name": "v"}, "spec": {"targetRef": TARGET}})
    server.add(KEDA.format(namespace), {"metadata": {"name": "k"}, "spec": {"scaleTargetRef": {"name": "chat"}}})


async def kinds(api: KubeApi) -> list[str] | None:
    found = await KubeAutoscalerReader(api).list_autoscalers("ai")
    return None if found is None else [a.kind for a in found]


async def test_the_autoscalers_of_one_namespace_are_listed_with_one_request_for_each_kind(
    server: FakeApi, api: KubeApi
) -> None:
    add_all(server)
    add_all(server, "web")
    assert await kinds(api) == ["ScaledObject", "HorizontalPodAutoscaler", "VerticalPodAutoscaler"]
    assert len(server.requests) == 3


@pytest.mark.parametrize("kind", ["404", "403"])
@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("horizontalpodautoscalers", ["ScaledObject", "VerticalPodAutoscaler"]),
        ("verticalpodautoscalers", ["ScaledObject", "HorizontalPodAutoscaler"]),
        ("scaledobjects", ["HorizontalPodAutoscaler", "VerticalPodAutoscaler"]),
    ],
)
async def test_a_kind_that_is_not_installed_or_forbidden_hides_no_other(
    server: FakeApi, api: KubeApi, caplog: pytest.LogCaptureFixture, kind: str, path: str, others: list[str]
) -> None:
    add_all(server)
    server.faults.append(Fault(kind, path=path))
    with caplog.at_level(logging.INFO):
        assert await kinds(api) == others
    own = [r for r in caplog.records if r.name.startswith("memroll")]
    assert own == [], "a cluster without KEDA is nothing to report"


async def test_an_api_server_that_does_not_answer_fails_no_reconcile(server: FakeApi, api: KubeApi) -> None:
    add_all(server)
    server.faults.append(Fault("500", path="verticalpodautoscalers", times=3))
    assert await kinds(api) is None, "a status keeps those that it names"
    assert await kinds(api) == ["ScaledObject", "HorizontalPodAutoscaler", "VerticalPodAutoscaler"]


async def test_a_bug_in_decoding_fails_no_reconcile(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    add_all(server)
    monkeypatch.setattr(autoscalers, "_describe_vertical", fail)
    assert await kinds(api) is None
    assert "bug: decoding the autoscalers of namespace ai failed" in caplog.text


class Clock:
    """Monotonic clock that the test advances."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_the_policies_of_a_namespace_share_one_read_in_each_interval(server: FakeApi, api: KubeApi) -> None:
    add_all(server)
    clock = Clock()
    reader = KubeAutoscalerReader(api, clock)
    first = await asyncio.gather(*(reader.list_autoscalers("ai", 270) for _ in range(4)))
    clock.seconds = 269
    again = await reader.list_autoscalers("ai", 270)
    assert [*first, again] == [first[0]] * 5
    assert len(server.requests) == 3
    clock.seconds = 285
    await reader.list_autoscalers("ai", 270)
    assert len(server.requests) == 6, "the next interval, with its jitter"
    await reader.list_autoscalers("web", 270)
    assert len(server.requests) == 9, "another namespace"
    await reader.list_autoscalers("ai", 0)
    assert len(server.requests) == 12


async def test_a_kind_that_the_server_does_not_have_is_requested_each_ten_minutes_for_all_namespaces(
    server: FakeApi, api: KubeApi
) -> None:
    server.faults.append(Fault("404", path="scaledobjects", times=1))
    clock = Clock()
    reader = KubeAutoscalerReader(api, clock)
    assert await reader.list_autoscalers("ai", 270) == ()
    add_all(server, "web")  # KEDA is installed
    clock.seconds = 300
    found = await reader.list_autoscalers("web", 270)
    assert [a.kind for a in found or ()] == ["HorizontalPodAutoscaler", "VerticalPodAutoscaler"]
    assert len(server.calls("GET", "scaledobjects")) == 1
    clock.seconds = 600
    found = await reader.list_autoscalers("web", 270)
    assert [a.kind for a in found or ()] == ["ScaledObject", "HorizontalPodAutoscaler", "VerticalPodAutoscaler"]


async def test_a_fresh_read_requests_a_kind_that_the_server_did_not_have(server: FakeApi, api: KubeApi) -> None:
    add_all(server)
    server.faults.append(Fault("404", path="scaledobjects", times=1))
    reader = KubeAutoscalerReader(api, Clock())
    assert len(await reader.list_autoscalers("ai", 270) or ()) == 2
    assert len(await reader.list_autoscalers("ai", 0) or ()) == 3


async def test_a_kind_that_may_not_be_read_in_one_namespace_is_requested_in_others(
    server: FakeApi, api: KubeApi
) -> None:
    add_all(server, "web")
    server.faults.append(Fault("403", path="scaledobjects", times=1))
    reader = KubeAutoscalerReader(api, Clock())
    assert await reader.list_autoscalers("ai", 270) == ()
    assert len(await reader.list_autoscalers("web", 270) or ()) == 3


async def test_a_read_that_failed_is_not_kept(server: FakeApi, api: KubeApi) -> None:
    add_all(server)
    server.faults.append(Fault("500", path="verticalpodautoscalers", times=3))
    reader = KubeAutoscalerReader(api, Clock())
    assert await reader.list_autoscalers("ai", 270) is None
    assert len(await reader.list_autoscalers("ai", 270) or ()) == 3


async def test_the_number_of_known_autoscalers_is_bounded(
    server: FakeApi, api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each namespace counts as one more, so that empty ones are bounded as well."""
    monkeypatch.setattr(autoscalers, "MAX_KNOWN", 9)
    for namespace in ("a", "b", "c"):
        add_all(server, namespace)
    reader = KubeAutoscalerReader(api, Clock())
    for namespace in ("a", "b", "c", "b"):
        await reader.list_autoscalers(namespace, 270)
    assert len(server.requests) == 9, "that of b is known"
    await reader.list_autoscalers("a", 270)
    assert len(server.requests) == 12, "that of a was forgotten"
