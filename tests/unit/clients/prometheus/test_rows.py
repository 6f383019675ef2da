from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.prometheus.query_plan import SeriesKind, Statistic, StatisticKind, TimeRange
from memroll.clients.prometheus.rows import SeriesRowBuilder, StatisticRowBuilder, parse_container_id

if TYPE_CHECKING:
    from memroll.detection.series import Series

HEX = "0123456789abcdef" * 4
RSS, WORKING_SET, LOAD, POD_LOAD, OOMS = (
    SeriesKind.RSS,
    SeriesKind.WORKING_SET,
    SeriesKind.LOAD,
    SeriesKind.POD_LOAD,
    SeriesKind.OOMS,
)
ALL = TimeRange(0.0, 100.0)
P = frozenset({"p"}).__contains__


def pairs(series: Series) -> list[tuple[float, float]]:
    return list(zip(series.times_s.tolist(), series.values.tolist(), strict=True))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        pytest.param({"name": HEX}, HEX, id="containerd"),
        pytest.param({"name": HEX, "id": "/kubepods/other-abc"}, HEX, id="the name wins"),
        pytest.param({"id": f"/kubepods.slice/x.slice/cri-containerd-{HEX}.scope"}, HEX, id="systemd with containerd"),
        pytest.param({"name": "k8s_chat_c_ai_u_0", "id": f"/k/docker-{HEX}.scope"}, HEX, id="systemd with docker"),
        pytest.param({"name": "k8s_chat_c_ai_u_0", "id": f"/k/crio-{HEX}"}, HEX, id="CRI-O"),
        pytest.param({"id": f"/kubepods/burstable/poduid/{HEX}"}, HEX, id="cgroupfs"),
        pytest.param({"name": "k8s_chat_c_ai_u_0"}, "", id="a name is no ID"),
        pytest.param({"id": "/kubepods/burstable/pod0f9d"}, "", id="the pod's own cgroup"),
        pytest.param({"id": "/"}, "", id="the root"),
        pytest.param({}, "", id="no labels"),
    ],
)
def test_container_ids(labels: dict[str, str], found: str) -> None:
    assert parse_container_id(labels) == found


def series(values: list[list[object]], **labels: str) -> dict[str, Any]:
    return {"metric": {"namespace": "ai", "pod": "p", "container": "c", **labels}, "values": values}


def test_series_are_merged_by_container_id_only() -> None:
    rows = SeriesRowBuilder("ai")
    known = [series([[1, "1"], [2, "2"]], name=HEX, replica="a"), series([[1.5, "9"], [2, "3"]], name=HEX)]
    rows.add(RSS, [*known, series([[1, "1"]], node="a"), series([[1, "2"]], node="b")], ALL, P)
    rows.add(WORKING_SET, [*known, series([[1, "3"]], node="b", __name__=WORKING_SET)], ALL, P)
    found = [(r.container_id, pairs(r.rss), pairs(r.working_set)) for r in rows.build()]
    assert found == [
        (HEX, [(1, 1), (1.5, 9), (2, 2)], [(1, 1), (1.5, 9), (2, 3)]),
        ("", [(1, 1)], []),
        ("", [(1, 2)], [(1, 3)]),
    ]


def test_steps_and_later_raw_samples_are_one_series() -> None:
    rows = SeriesRowBuilder("ai")
    rows.add(RSS, [series([[60, "1"], [120, "2"], [180, "9"]], name=HEX)], TimeRange(59.999, 120), P)
    rows.add(RSS, [series([[120, "9"], [135, "3"], [150, "4"]], name=HEX)], TimeRange(120, 140), P)
    assert [pairs(r.rss) for r in rows.build()] == [[(60, 1), (120, 2), (135, 3)]]


def test_samples_outside_of_the_request_are_dropped() -> None:
    rows = SeriesRowBuilder("ai")
    outside = series([[10, "1"], [20.001, "1"], [99, "1"]])
    foreign = [series([[15, "1"]], namespace="b"), series([[15, "1"]], pod="q"), {"metric": {}, "values": [[15, "1"]]}]
    rows.add(RSS, [outside, *foreign], TimeRange(10.0, 20.0), P)
    assert rows.build() == ()


def test_a_container_without_an_id_gets_its_own_load() -> None:
    """The labels of a CPU series differ only by the CPU."""
    rows = SeriesRowBuilder("ai")
    rows.add(RSS, [series([[1, "1"]], node="a", __name__=RSS), series([[1, "1"]], node="b", __name__=RSS)], ALL, P)
    rows.add(LOAD, [series([[1, "0.5"], [2, "0.5"]], node="a", cpu="total")], ALL, P)
    assert [pairs(r.load) for r in rows.build()] == [[(1, 0.5)], []], "and it ends with its memory"


def test_the_load_of_a_pod_is_that_of_each_container() -> None:
    rows = SeriesRowBuilder("ai")
    rows.add(RSS, [series([[1, "1"]], name=HEX), series([[1, "1"]], container="proxy")], ALL, P)
    rows.add(POD_LOAD, [{"metric": {"namespace": "ai", "pod": "p"}, "values": [[1, "7"]]}], ALL, P)
    assert [(r.container, pairs(r.load)) for r in rows.build()] == [("c", [(1, 7)]), ("proxy", [(1, 7)])]


def test_load_and_oom_kills_alone_are_no_instance() -> None:
    rows = SeriesRowBuilder("ai")
    rows.add(LOAD, [series([[1, "1"]], name=HEX)], ALL, P)
    rows.add(OOMS, [series([[1, "1"]], name=HEX)], ALL, P)
    assert rows.build() == ()


def statistic(value: str, **labels: str) -> dict[str, Any]:
    return {"metric": {"namespace": "ai", "pod": "p", "container": "c", **labels}, "value": [1000, value]}


def test_statistics_become_rows() -> None:
    rows = StatisticRowBuilder("ai", (60.0, 600.0))
    for window_s, slope, samples in ((60.0, "1.5", "2"), (600.0, "-0.5", "40")):
        rows.add(Statistic(StatisticKind.SLOPE, window_s), [statistic(slope, name=HEX)], P)
        rows.add(Statistic(StatisticKind.SAMPLES, window_s), [statistic(samples, name=HEX)], P)
    rows.add(
        Statistic(StatisticKind.RSS),
        [statistic("7", name=HEX, __name__="m"), statistic("9", pod="q"), statistic("NaN", node="x")],
        P,
    )
    rows.add(Statistic(StatisticKind.LAST), [statistic("999.5", name=HEX), statistic("1", namespace="b")], P)
    [row] = rows.build()
    assert (row.pod, row.container, row.container_id) == ("p", "c", HEX)
    assert (row.slopes_bytes_per_s, row.samples) == ((None, -0.5), 40)
    assert (row.rss_bytes, row.working_set_bytes, row.last_s) == (7.0, None, 999.5)


def test_the_maximum_of_two_scrapers_of_one_instance_counts() -> None:
    rows = StatisticRowBuilder("ai", ())
    rows.add(Statistic(StatisticKind.RSS), [statistic(v, name=HEX, replica=v) for v in ("2", "3", "1")], P)
    assert [r.rss_bytes for r in rows.build()] == [3.0]


def test_two_series_without_an_id_are_two_rows() -> None:
    rows = StatisticRowBuilder("ai", ())
    rows.add(Statistic(StatisticKind.RSS), [statistic(v, node=v) for v in ("2", "3")], P)
    assert [r.rss_bytes for r in rows.build()] == [2.0, 3.0]
