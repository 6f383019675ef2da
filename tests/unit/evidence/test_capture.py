"""Capture of evidence: each section on its own, with a reason if it is missing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from memroll.api.evidence import MAX_POINTS
from memroll.api.pod_roll import PodRoll
from memroll.errors import NotFoundError, ProbeUnavailableError, PrometheusUnavailableError, TerminalError
from memroll.evidence.capture import CaptureRequest, capture_evidence
from memroll.model.permissions import ALL_PERMISSIONS, Permissions
from memroll.reconcile.roll import StepContext, advance
from memroll.rolling.protocols import Clients
from tests.builders import MIB, NOW, at, container, line, pod, roll
from tests.fakes import FakeCluster, FakePrometheus

POD = pod("leaky-1", ip="10.0.0.9", containers=(container(id="id-leaky-1", ports=(8080,), image="leaky:1"),))
HTTP = {"evidence": {"http": {"port": 8080}, "timeout": "1s"}}


class Reports:
    """Fetcher that returns a report, raises, or never returns."""

    def __init__(self, answer: bytes | Exception | None) -> None:
        self.answer, self.asked = answer, list[tuple[Any, ...]]()

    async def fetch_report(self, *asked: Any) -> bytes:
        self.asked.append(asked)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or b""


def clients(**parts: Any) -> tuple[FakeCluster, FakePrometheus, Reports | None]:
    cluster = FakeCluster(1)
    cluster.pod_log = parts.get("log", ("served",))
    series = parts.get("series", line(0.5, age_s=1800))
    prometheus = FakePrometheus({"id-leaky-1": series} if series is not None else {}, parts.get("error"))
    return cluster, prometheus, parts.get("reports")


def request(
    pod=POD, permissions: Permissions = ALL_PERMISSIONS, remaining_s: float = 1.0, **spec: Any
) -> CaptureRequest:
    return CaptureRequest(roll(spec=spec), None, pod, permissions, NOW, remaining_s)


def reasons(found) -> dict[str, str]:
    return {m.section.value: m.reason for m in found.missing}


async def test_without_http_the_series_restarts_and_log_are_captured():
    found = await capture_evidence(request(), *clients())
    assert found.missing == ()
    assert found.series is not None
    assert len(found.series.points) <= MAX_POINTS
    assert found.series.points[-1][1] == pytest.approx(920 * MIB, rel=0.01)
    assert (found.series.container, found.series.limit_bytes) == ("app", 128 * MIB)
    assert [(c.container, c.image, c.restarts) for c in found.containers] == [("app", "leaky:1", 0)]
    assert [t.lines for t in found.logs] == [("served",)]
    assert found.captured_at == NOW


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param(
            {"log": TerminalError("Forbidden", "GET /api/v1/...: pods/log is forbidden")},
            {"logs": "forbidden: memroll has no right to read logs here"},
            id="no right to read logs",
        ),
        pytest.param({"log": NotFoundError("NotFound", "no such pod")}, {"logs": "no such pod"}, id="no log"),
        pytest.param({"log": ZeroDivisionError()}, {"logs": "could not be read: ZeroDivisionError"}, id="a defect"),
        pytest.param(
            {"error": PrometheusUnavailableError("QueryTimeout", "p: slow")}, {"series": "p: slow"}, id="no Prometheus"
        ),
        pytest.param({"series": None}, {"series": "Prometheus has no samples of this container"}, id="no samples"),
    ],
)
async def test_a_missing_section_has_a_reason_and_does_not_affect_the_others(parts, expected):
    found = await capture_evidence(request(), *clients(**parts))
    assert reasons(found) == expected
    assert bool(found.series) != ("series" in expected)
    assert bool(found.logs) != ("logs" in expected)


async def test_the_report_is_fetched_at_the_pod_s_own_address_and_port():
    reports = Reports(b'{"schema": "memroll-probe/1"}')
    found = await capture_evidence(request(**HTTP), *clients(reports=reports))
    assert reports.asked == [("10.0.0.9", 8080, "/debug/memory", 1.0)]
    assert found.probe is not None
    assert found.missing == ()


@pytest.mark.parametrize(
    ("target", "permissions", "message"),
    [
        pytest.param(replace(POD, ip=""), ALL_PERMISSIONS, "no IP address of its own", id="on its host's network"),
        pytest.param(
            replace(POD, containers=(container(),)), ALL_PERMISSIONS, "declares TCP port 8080", id="not declared"
        ),
        pytest.param(POD, Permissions(http=False), "installed without HTTP requests to pods", id="not permitted"),
    ],
)
async def test_a_pod_that_must_not_be_contacted_is_not(target, permissions, message):
    reports = Reports(b"{}")
    found = await capture_evidence(request(target, permissions, **HTTP), *clients(reports=reports))
    assert reports.asked == []
    assert message in reasons(found)["http"]


async def test_a_section_that_hangs_only_costs_its_time():
    started_s = asyncio.get_running_loop().time()
    found = await capture_evidence(request(remaining_s=0.2, **HTTP), *clients(reports=Reports(None)))
    assert asyncio.get_running_loop().time() - started_s < 1
    assert reasons(found) == {"http": "no complete response in 0.2 s"}
    assert found.series is not None
    assert 0.2 <= found.took_seconds < 1


async def test_an_unavailable_probe_is_a_reason():
    found = await capture_evidence(
        request(**HTTP), *clients(reports=Reports(ProbeUnavailableError("Status", "status 500")))
    )
    assert reasons(found) == {"http": "status 500"}


async def test_without_the_permission_no_log_is_read():
    found = await capture_evidence(request(permissions=Permissions(logs=False)), *clients(log=ZeroDivisionError()))
    assert reasons(found) == {"logs": "memroll was installed without the right to read logs"}


async def test_zero_log_lines_read_no_log_and_nothing_is_missing():
    found = await capture_evidence(request(evidence={"logLines": 0}), *clients(log=ZeroDivisionError()))
    assert (found.logs, found.missing) == ((), ())


async def test_after_a_recent_restart_the_previous_log_is_captured_as_well():
    class Restarted(FakeCluster):
        async def read_logs(self, *args: Any, previous: bool = False, **more: Any) -> tuple[str, ...]:
            return ("killed",) if previous else ("started again",)

    target = replace(
        POD, containers=(container(id="id-leaky-1", restarts=2, started_at=at(-600), oom_killed_at=at(-601)),)
    )
    found = await capture_evidence(request(target), Restarted(1), FakePrometheus({}), None)
    assert [(t.previous, t.lines) for t in found.logs] == [(False, ("started again",)), (True, ("killed",))]
    assert found.containers[0].oom_killed == at(-601)


async def test_a_record_that_the_api_server_rejects_is_written_without_evidence():
    class Strict(FakeCluster):
        async def write_status(self, plural: str, *args: Any) -> dict[str, Any]:
            if "series" in args[-1].get("evidence", {}):
                raise TerminalError("Rejected", "status.evidence: Invalid value")
            return await super().write_status(plural, *args)

    cluster = Strict(1)
    await cluster.create_roll("demo", {"metadata": {"name": "r", "namespace": "demo"}, "spec": {"podName": "leaky-1"}})
    prometheus = FakePrometheus({"id-leaky-1": line(0.5)})
    for _ in range(3):
        known = PodRoll.read(cluster.rolls_json["r"])
        await advance(known, None, Clients(cluster, prometheus), at(cluster.seconds), StepContext())
    status = cluster.rolls_json["r"]["status"]
    assert status["phase"] == "Replacing"
    assert status["evidence"]["missing"] == [
        {"section": "all", "reason": "the record was refused: status.evidence: Invalid value"}
    ]
