"""The log reader returns the last lines of a container's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.kube.pod_logs import MAX_LOG_BYTES, KubeLogReader
from memroll.errors import ClusterUnavailableError, TerminalError
from memroll.model.pods import PodKey
from tests.contract.cluster.fake_api import Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import KubeApi
    from tests.contract.cluster.fake_api import FakeApi

POD = PodKey("ai", "chat-0", "u1")


async def test_the_last_lines_are_returned_oldest_first(api: KubeApi, server: FakeApi) -> None:
    server.logs["chat-0"] = b"one\ntwo\nthree \xff\n"
    assert await KubeLogReader(api).read_logs(POD, "chat", 50, 5.0) == ("one", "two", "three \ufffd")
    (requested,) = server.calls("GET", "/log")
    assert "container=chat" in requested
    assert "tailLines=50" in requested
    assert "previous" not in requested
    await KubeLogReader(api).read_logs(POD, "chat", 2, 5.0, previous=True)
    assert "previous=true" in server.calls("GET", "/log")[-1]


async def test_an_empty_log_has_no_lines(api: KubeApi) -> None:
    assert await KubeLogReader(api).read_logs(POD, "chat", 50, 5.0) == ()


async def test_the_size_of_a_log_is_bounded(api: KubeApi, server: FakeApi) -> None:
    server.logs["chat-0"] = b"x" * (3 * MAX_LOG_BYTES)
    (line,) = await KubeLogReader(api).read_logs(POD, "chat", 50, 5.0)
    assert len(line) == MAX_LOG_BYTES


@pytest.mark.parametrize(
    ("kind", "error", "reason"), [("403", TerminalError, "Forbidden"), ("500", ClusterUnavailableError, "ServerError")]
)
async def test_an_error_is_translated_and_not_retried(
    api: KubeApi, server: FakeApi, kind: str, error: type[Exception], reason: str
) -> None:
    server.faults.append(Fault(kind, times=5))
    with pytest.raises(error, match=reason):
        await KubeLogReader(api).read_logs(POD, "chat", 50, 5.0)
    assert len(server.calls("GET")) == 1


async def test_a_hanging_log_request_times_out(api: KubeApi, server: FakeApi) -> None:
    server.faults.append(Fault("hang"))
    with pytest.raises(ClusterUnavailableError, match="Timeout"):
        await KubeLogReader(api).read_logs(POD, "chat", 50, 0.2)
