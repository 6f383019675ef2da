"""What is captured of a pod: each part on its own, with a reason where it is missing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from memroll.api.evidence import POINTS_MAX
from memroll.api.pod_roll import PodRoll
from memroll.errors import NotFound, PrometheusUnavailable, Stalled, Unanswered
from memroll.evidence.capture import Inquiry, Sources, capture
from memroll.model.permissions import EVERYTHING, Permits
from memroll.reconcile.roll import Mandate, Ports, advance
from tests.builders import MIB, NOW, at, container, line, pod, roll
from tests.fakes import FakeCluster, FakePrometheus

POD = pod("leaky-1", ip="10.0.0.9", containers=(container(id="id-leaky-1", ports=(8080,), image="leaky:1"),))
HTTP = {"evidence": {"http": {"port": 8080}, "timeout": "1s"}}


class Reports:
    """A pod that answers, or does not."""

    def __init__(self, answer: bytes | Exception | None) -> None:
        self.answer, self.asked = answer, list[tuple[Any, ...]]()

    async def report(self, *asked: Any) -> bytes:
        self.asked.append(asked)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or b""


def sources(**parts: Any) -> Sources:
    cluster = FakeCluster(1)
    cluster.log = parts.get("log", ("served",))
    series = parts.get("series", line(0.5, age_s=1800))
    prometheus = FakePrometheus({"id-leaky-1": series} if series is not None else {}, parts.get("error"))
    return Sources(cluster, prometheus, parts.get("reports"))


def inquiry(target=POD, permits: Permits = EVERYTHING, left_s: float = 1.0, **spec: Any) -> Inquiry:
    return Inquiry(roll(spec=spec), None, target, permits, NOW, left_s)


def reasons(found) -> dict[str, str]:
    return {m.part.value: m.reason for m in found.missing}


async def test_without_asking_the_pod_there_is_its_series_its_restarts_and_its_log():
    found = await capture(inquiry(), sources())
    assert found.missing == ()
    assert found.series is not None
    assert len(found.series.points) <= POINTS_MAX
    assert found.series.points[-1][1] == pytest.approx(920 * MIB, rel=0.01)
    assert (found.series.container, found.series.limit_bytes) == ("app", 128 * MIB)
    assert [(c.container, c.image, c.restarts) for c in found.containers] == [("app", "leaky:1", 0)]
    assert [t.lines for t in found.logs] == [("served",)]
    assert found.captured_at == NOW


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param(
            {"log": Stalled("Forbidden", "GET /api/v1/...: pods/log is forbidden")},
            {"logs": "forbidden: memroll has no right to read logs here"},
            id="no right to read logs",
        ),
        pytest.param({"log": NotFound("NotFound", "no such pod")}, {"logs": "no such pod"}, id="no log"),
        pytest.param({"log": ZeroDivisionError()}, {"logs": "could not be read: ZeroDivisionError"}, id="a defect"),
        pytest.param(
            {"error": PrometheusUnavailable("QueryTimeout", "p: slow")}, {"series": "p: slow"}, id="no Prometheus"
        ),
        pytest.param({"series": None}, {"series": "Prometheus has no samples of this container"}, id="no samples"),
    ],
)
async def test_what_is_missing_says_why_and_takes_nothing_along(parts, expected):
    found = await capture(inquiry(), sources(**parts))
    assert reasons(found) == expected
    assert bool(found.series) != ("series" in expected)
    assert bool(found.logs) != ("logs" in expected)


async def test_a_pod_is_asked_at_its_own_address_and_port():
    reports = Reports(b'{"schema": "memroll-probe/1"}')
    found = await capture(inquiry(**HTTP), sources(reports=reports))
    assert reports.asked == [("10.0.0.9", 8080, "/debug/memory", 1.0)]
    assert found.probe is not None
    assert found.missing == ()


@pytest.mark.parametrize(
    ("target", "permits", "words"),
    [
        pytest.param(replace(POD, ip=""), EVERYTHING, "no address of its own", id="on its host's network"),
        pytest.param(replace(POD, containers=(container(),)), EVERYTHING, "declares TCP port 8080", id="not declared"),
        pytest.param(POD, Permits(http=False), "installed to ask no pod", id="not permitted"),
    ],
)
async def test_a_pod_that_may_not_be_asked_is_not(target, permits, words):
    reports = Reports(b"{}")
    found = await capture(inquiry(target, permits, **HTTP), sources(reports=reports))
    assert reports.asked == []
    assert words in reasons(found)["http"]


async def test_a_part_that_hangs_costs_its_time_and_nothing_else():
    begun_s = asyncio.get_running_loop().time()
    found = await capture(inquiry(left_s=0.2, **HTTP), sources(reports=Reports(None)))
    assert asyncio.get_running_loop().time() - begun_s < 1
    assert reasons(found) == {"http": "no whole answer in 0.2 s"}
    assert found.series is not None
    assert 0.2 <= found.took_seconds < 1


async def test_a_pod_that_does_not_answer_is_a_reason():
    found = await capture(inquiry(**HTTP), sources(reports=Reports(Unanswered("Status", "status 500"))))
    assert reasons(found) == {"http": "status 500"}


async def test_without_the_right_no_log_is_asked_for():
    found = await capture(inquiry(permits=Permits(logs=False)), sources(log=ZeroDivisionError()))
    assert reasons(found) == {"logs": "memroll was installed without the right to read logs"}


async def test_no_log_lines_are_no_log_and_nothing_missing():
    found = await capture(inquiry(evidence={"logLines": 0}), sources(log=ZeroDivisionError()))
    assert (found.logs, found.missing) == ((), ())


async def test_a_container_that_was_restarted_lately_shows_its_earlier_log_as_well():
    class Restarted(FakeCluster):
        async def logs(self, *args: Any, previous: bool = False, **more: Any) -> tuple[str, ...]:
            return ("killed",) if previous else ("started again",)

    target = replace(
        POD, containers=(container(id="id-leaky-1", restarts=2, started_at=at(-600), oom_killed_at=at(-601)),)
    )
    found = await capture(inquiry(target), Sources(Restarted(1), FakePrometheus({}), None))
    assert [(t.previous, t.lines) for t in found.logs] == [(False, ("started again",)), (True, ("killed",))]
    assert found.containers[0].oom_killed == at(-601)


async def test_a_record_that_the_api_server_refuses_goes_on_without_its_evidence():
    class Strict(FakeCluster):
        async def write_status(self, plural: str, *args: Any) -> dict[str, Any]:
            if "series" in args[-1].get("evidence", {}):
                raise Stalled("Rejected", "status.evidence: Invalid value")
            return await super().write_status(plural, *args)

    cluster = Strict(1)
    await cluster.create_roll("demo", {"metadata": {"name": "r", "namespace": "demo"}, "spec": {"podName": "leaky-1"}})
    prometheus = FakePrometheus({"id-leaky-1": line(0.5)})
    for _ in range(3):
        known = PodRoll.read(cluster.rolls_json["r"])
        await advance(known, None, Ports(cluster, prometheus), at(cluster.seconds), Mandate())
    status = cluster.rolls_json["r"]["status"]
    assert status["phase"] == "Replacing"
    assert status["evidence"]["missing"] == [
        {"part": "all", "reason": "the record was refused: status.evidence: Invalid value"}
    ]
