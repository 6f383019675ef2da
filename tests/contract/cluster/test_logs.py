"""Log lines as the API server hands them on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.kube.pod_logs import LOG_BYTES_MAX, Logs
from memroll.errors import ClusterUnavailable, Stalled
from memroll.model.pods import PodKey
from tests.contract.cluster.fake_api import Fault

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import Api
    from tests.contract.cluster.fake_api import FakeApi

POD = PodKey("ai", "chat-0", "u1")


async def test_the_last_lines_come_oldest_first(api: Api, server: FakeApi) -> None:
    server.logs["chat-0"] = b"one\ntwo\nthree \xff\n"
    assert await Logs(api).logs(POD, "chat", 50, 5.0) == ("one", "two", "three \ufffd")
    (asked,) = server.calls("GET", "/log")
    assert "container=chat" in asked
    assert "tailLines=50" in asked
    assert "previous" not in asked
    await Logs(api).logs(POD, "chat", 2, 5.0, previous=True)
    assert "previous=true" in server.calls("GET", "/log")[-1]


async def test_no_log_is_no_line(api: Api) -> None:
    assert await Logs(api).logs(POD, "chat", 50, 5.0) == ()


async def test_no_more_is_read_than_is_looked_at(api: Api, server: FakeApi) -> None:
    server.logs["chat-0"] = b"x" * (3 * LOG_BYTES_MAX)
    (line,) = await Logs(api).logs(POD, "chat", 50, 5.0)
    assert len(line) == LOG_BYTES_MAX


@pytest.mark.parametrize(
    ("kind", "error", "reason"), [("403", Stalled, "Forbidden"), ("500", ClusterUnavailable, "ServerError")]
)
async def test_a_refusal_is_one_of_ours_and_is_not_tried_again(
    api: Api, server: FakeApi, kind: str, error: type[Exception], reason: str
) -> None:
    server.faults.append(Fault(kind, times=5))
    with pytest.raises(error, match=reason):
        await Logs(api).logs(POD, "chat", 50, 5.0)
    assert len(server.calls("GET")) == 1


async def test_a_log_that_never_comes_costs_its_time(api: Api, server: FakeApi) -> None:
    server.faults.append(Fault("hang"))
    with pytest.raises(ClusterUnavailable, match="Timeout"):
        await Logs(api).logs(POD, "chat", 50, 0.2)
