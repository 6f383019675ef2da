from __future__ import annotations

from typing import Any

import pytest

from memroll.clients.prometheus.query_plan import SeriesKind, Statistic, StatisticKind, TimeRange
from memroll.clients.prometheus.rows import SeriesRowBuilder, StatisticRowBuilder, parse_container_id
from memroll.clients.prometheus.series_merging import merge_series
from memroll.detection.samples import SlowBins
from memroll.detection.series import EMPTY, Series

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


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_series_without_samples_are_merged_to_one(count: int) -> None:
    assert len(merge_series([EMPTY] * count)) == 0
    one = Series.of([(1.0, 2.0)])
    assert pairs(merge_series([*[EMPTY] * count, one, EMPTY])) == [(1, 2)]


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
    rows.add(POD_LOAD, [{"metric": {"namespace": "ai", "pod": "p"}, "values": [[1, "8"]]}], ALL, P)
    assert [(r.container, pairs(r.load)) for r in rows.build()] == [("c", [(1, 8)]), ("proxy", [(1, 8)])]


def test_load_and_oom_kills_alone_are_no_instance() -> None:
    rows = SeriesRowBuilder("ai")
    rows.add(LOAD, [series([[1, "1"]], name=HEX)], ALL, P)
    rows.add(OOMS, [series([[1, "1"]], name=HEX)], ALL, P)
    assert rows.build() == ()


def statistic(value: str, **labels: str) -> dict[str, Any]:
    return {"metric": {"namespace": "ai", "pod": "p", "container": "c", **labels}, "value": [1000, value]}


def test_statistics_become_rows() -> None:
    rows = StatisticRowBuilder("ai", (60.0, 600.0))
    rows.add(Statistic(StatisticKind.SAMPLES, 600.0), [statistic("40", name=HEX)], P)
    rows.add(Statistic(StatisticKind.SLOPE, 600.0), [statistic("-0.5", name=HEX)], P)
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


@pytest.mark.parametrize(("samples", "known"), [("3", "yes"), ("2", "")])
def test_with_too_few_samples_in_the_second_shortest_window_no_slope_is_known(samples: str, known: str) -> None:
    """The container is then a candidate, whatever its slopes are."""
    windows_s = (600.0, 6000.0, 60.0)
    rows = StatisticRowBuilder("ai", windows_s)
    for window_s in windows_s:
        rows.add(Statistic(StatisticKind.SLOPE, window_s), [statistic("5", name=HEX)], P)
    rows.add(Statistic(StatisticKind.SAMPLES, 600.0), [statistic(samples, name=HEX)], P)
    [row] = rows.build()
    assert row.slopes_bytes_per_s == ((5.0,) * 3 if known else (None,) * 3)
    assert row.has_rss


def test_slow_slopes_are_the_differences_of_the_minima() -> None:
    """Of two scrapers of one instance the steepest slope counts: the prefilter must not drop a leak."""
    rows = StatisticRowBuilder("ai", (), SlowBins(10.0, (100.0, 300.0, 900.0)))
    for offset_s, minima in ((0.0, ("50", "70")), (100.0, ("20", "30")), (300.0, ("100",))):
        found = [statistic(v, name=HEX, replica=str(n)) for n, v in enumerate(minima)]
        rows.add(Statistic(StatisticKind.MINIMUM, offset_s), found, P)
    [row] = rows.build()
    assert row.slow_slopes_bytes_per_s == (0.5, -0.1, None)


def test_without_a_recent_minimum_there_are_no_slow_slopes() -> None:
    rows = StatisticRowBuilder("ai", (), SlowBins(10.0, (100.0,)))
    rows.add(Statistic(StatisticKind.MINIMUM, 100.0), [statistic("1", name=HEX)], P)
    assert [r.slow_slopes_bytes_per_s for r in rows.build()] == [(None,)]


def test_page_cache_and_swap_belong_to_the_instance_with_their_memory() -> None:
    rows = SeriesRowBuilder("ai")
    assert not rows.add(SeriesKind.SWAP, [], ALL, P)
    assert rows.add(SeriesKind.SWAP, [series([[1, "3"]], name=HEX)], ALL, P)
    rows.add(SeriesKind.ACTIVE_FILE, [series([[1, "2"]], name=HEX), series([[1, "9"]], name="f" * 64)], ALL, P)
    rows.add(RSS, [series([[1, "1"]], name=HEX)], ALL, P)
    assert [(pairs(r.active_file), pairs(r.swap)) for r in rows.build()] == [([(1, 2)], [(1, 3)])]


def test_a_time_without_a_current_rss_is_not_that_of_a_newest_sample() -> None:
    """VictoriaMetrics returns the time of the last sample for a series that has ended."""
    rows = StatisticRowBuilder("ai", (60.0,))
    rows.add(Statistic(StatisticKind.SAMPLES, 60.0), [statistic("4", name=HEX)], P)
    rows.add(Statistic(StatisticKind.LAST), [statistic("999.5", name=HEX)], P)
    assert [(r.rss_bytes, r.last_s, r.samples) for r in rows.build()] == [(None, float("-inf"), 4)]


def test_the_maximum_of_two_scrapers_of_one_instance_counts() -> None:
    rows = StatisticRowBuilder("ai", ())
    rows.add(Statistic(StatisticKind.RSS), [statistic(v, name=HEX, replica=v) for v in ("2", "3", "1")], P)
    assert [r.rss_bytes for r in rows.build()] == [3.0]


def test_two_series_without_an_id_are_two_rows() -> None:
    rows = StatisticRowBuilder("ai", ())
    rows.add(Statistic(StatisticKind.RSS), [statistic(v, node=v) for v in ("2", "3")], P)
    assert [r.rss_bytes for r in rows.build()] == [2.0, 3.0]


CADVISOR, RESOURCE = {"job": "kubelet", "metrics_path": "/metrics/cadvisor"}, {"metrics_path": "/metrics/resource"}
SECOND_JOB = {"job": "kubelet-again"}


def memory_rows(*found: tuple[SeriesKind, dict[str, Any]]) -> list[tuple[str, list[Any], list[Any]]]:
    """Return ID, RSS and working set of each row, built in this order and in the opposite one: both must agree."""
    forward, backward = SeriesRowBuilder("ai"), SeriesRowBuilder("ai")
    for rows, order in ((forward, found), (backward, found[::-1])):
        for kind, one in order:
            rows.add(kind, [one], ALL, P)
    first, second = (
        sorted((r.container_id, pairs(r.rss), pairs(r.working_set)) for r in rows.build())
        for rows in (forward, backward)
    )
    assert first == second
    return first


OLD_ID, NEW_ID = "a" * 64, "b" * 64
JOINED = [
    pytest.param(
        [
            (RSS, series([[1, "1"], [9, "2"]], **CADVISOR)),
            (WORKING_SET, series([[1, "3"], [9, "4"]], **CADVISOR)),
            (WORKING_SET, series([[2, "3"], [10, "4"]], **RESOURCE)),
        ],
        [("", [(1, 1), (9, 2)], [(1, 3), (9, 4)])],
        id="a later working set alone is no second container",
    ),
    pytest.param(
        [(RSS, series([[1, "1"], [9, "2"]], **CADVISOR)), (WORKING_SET, series([[2, "3"], [10, "4"]], **RESOURCE))],
        [("", [(1, 1), (9, 2)], [(2, 3), (10, 4)])],
        id="a working set from another endpoint",
    ),
    pytest.param(
        [
            (RSS, series([[1, "1"]], **CADVISOR)),
            (RSS, series([[2, "1"]], **SECOND_JOB)),
            (WORKING_SET, series([[1, "3"]], **CADVISOR)),
            (WORKING_SET, series([[2, "3"]], **SECOND_JOB)),
            (WORKING_SET, series([[3, "5"]], **RESOURCE)),
        ],
        [("", [(1, 1)], [(1, 3)]), ("", [(2, 1)], [(2, 3)])],
        id="two kubelet jobs stay two rows",
    ),
    pytest.param(
        [
            (RSS, series([[1, "1"]], name=NEW_ID, **CADVISOR)),
            (WORKING_SET, series([[1, "3"]], name=NEW_ID, **CADVISOR)),
            (WORKING_SET, series([[0.5, "9"], [2, "9"]], **RESOURCE)),
        ],
        [("", [], [(0.5, 9), (2, 9)]), (NEW_ID, [(1, 1)], [(1, 3)])],
        id="a complete instance with an ID takes nothing",
    ),
    pytest.param(
        [
            (RSS, series([[1, "1"], [3, "2"]], name=OLD_ID, **CADVISOR)),
            (RSS, series([[5, "1"], [7, "2"]], name=NEW_ID, **CADVISOR)),
            (WORKING_SET, series([[0.5, "9"], [2, "3"], [4, "9"], [5, "1"], [6, "4"], [8, "9"]], **RESOURCE)),
        ],
        [
            ("", [], [(0.5, 9), (2, 3), (4, 9), (5, 1), (6, 4), (8, 9)]),
            (OLD_ID, [(1, 1), (3, 2)], [(2, 3)]),
            (NEW_ID, [(5, 1), (7, 2)], [(5, 1), (6, 4)]),
        ],
        id="each instance with an ID takes the working set of its own time",
    ),
    pytest.param(
        [
            (RSS, series([[1, "8"], [3, "9"]], node="a", **CADVISOR)),
            (RSS, series([[11, "1"], [13, "2"]], node="b", **CADVISOR)),
            (WORKING_SET, series([[2, "8"], [4, "9"]], node="a", **RESOURCE)),
            (WORKING_SET, series([[12, "1"], [14, "2"]], node="b", **RESOURCE)),
        ],
        [("", [(1, 8), (3, 9)], [(2, 8), (4, 9)]), ("", [(11, 1), (13, 2)], [(12, 1), (14, 2)])],
        id="a pod of a StatefulSet that moved to another node, without IDs",
    ),
    pytest.param(
        [(RSS, series([[1, "1"]], **CADVISOR)), (WORKING_SET, series([[1, "3"]], name=NEW_ID, **CADVISOR))],
        [("", [(1, 1)], []), (NEW_ID, [(1, 1)], [(1, 3)])],
        id="an ID that is on the working set only",
    ),
    pytest.param(
        [(WORKING_SET, series([[1, "3"]], **RESOURCE)), (WORKING_SET, series([[2, "3"]], **CADVISOR))],
        [("", [], [(1, 3)]), ("", [], [(2, 3)])],
        id="no RSS anywhere",
    ),
    pytest.param(
        [(RSS, series([[1, "1"]], **CADVISOR)), (WORKING_SET, series([[2, "3"]], container="proxy", **RESOURCE))],
        [("", [], [(2, 3)]), ("", [(1, 1)], [])],
        id="another container",
    ),
]


@pytest.mark.parametrize(("found", "expected"), JOINED)
def test_rss_and_working_set_are_joined(found: list[Any], expected: list[Any]) -> None:
    assert memory_rows(*found) == sorted(expected)


def statistic_rows(*found: tuple[StatisticKind, dict[str, Any]]) -> list[tuple[Any, ...]]:
    rows = StatisticRowBuilder("ai", (60.0,))
    for kind, one in found:
        rows.add(Statistic(kind, 60.0 if kind in (StatisticKind.SLOPE, StatisticKind.SAMPLES) else 0.0), [one], P)
    return [(r.container_id, r.slopes_bytes_per_s, r.rss_bytes, r.working_set_bytes, r.last_s) for r in rows.build()]


def of_cadvisor(**labels: str) -> list[tuple[StatisticKind, dict[str, Any]]]:
    values = {StatisticKind.SLOPE: "5", StatisticKind.SAMPLES: "9", StatisticKind.RSS: "1", StatisticKind.LAST: "999"}
    return [(kind, statistic(value, **CADVISOR, **labels)) for kind, value in values.items()]


ON_RESOURCE = (StatisticKind.WORKING_SET, statistic("4", **RESOURCE))
STATISTICS = [
    pytest.param([*of_cadvisor(), ON_RESOURCE], [("", (5,), 1, 4, 999)], id="joined"),
    pytest.param([ON_RESOURCE, *of_cadvisor()], [("", (5,), 1, 4, 999)], id="in the opposite order"),
    pytest.param(
        [*of_cadvisor(), (StatisticKind.WORKING_SET, statistic("3", **CADVISOR)), ON_RESOURCE],
        [("", (5,), 1, 3, 999)],
        id="nothing is missing",
    ),
    pytest.param(
        [*of_cadvisor(name=HEX), ON_RESOURCE],
        [(HEX, (5,), 1, 4, 999), ("", (None,), None, 4, float("-inf"))],
        id="an ID on the RSS only",
    ),
    pytest.param(
        [*of_cadvisor(), (StatisticKind.WORKING_SET, statistic("3", name=HEX, **CADVISOR))],
        [(HEX, (None,), 1, 3, 999), ("", (5,), 1, None, 999)],
        id="an ID on the working set only: a candidate, because it has no slopes",
    ),
    pytest.param([ON_RESOURCE], [("", (None,), None, 4, float("-inf"))], id="no RSS"),
]


@pytest.mark.parametrize(("found", "expected"), STATISTICS)
def test_statistics_of_rss_and_working_set_are_joined(found: list[Any], expected: list[Any]) -> None:
    assert statistic_rows(*found) == expected
