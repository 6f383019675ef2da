from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.prometheus.query_plan import Column, Figure, Kind, Window
from memroll.clients.prometheus.rows import Rows, ScreenRows, container_id_of

if TYPE_CHECKING:
    from memroll.detection.series import Series

HEX = "0123456789abcdef" * 4
RSS, WORKING_SET, LOAD, POD_LOAD, OOMS = Column.RSS, Column.WORKING_SET, Column.LOAD, Column.POD_LOAD, Column.OOMS
ALL = Window(0.0, 100.0)
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
    assert container_id_of(labels) == found


def series(values: list[list[object]], **labels: str) -> dict[str, Any]:
    return {"metric": {"namespace": "ai", "pod": "p", "container": "c", **labels}, "values": values}


def test_rows_join_by_id_and_never_without() -> None:
    rows = Rows("ai")
    known = [series([[1, "1"], [2, "2"]], name=HEX, replica="a"), series([[1.5, "9"], [2, "3"]], name=HEX)]
    rows.add(RSS, [*known, series([[1, "1"]], node="a"), series([[1, "2"]], node="b")], ALL, P)
    rows.add(WORKING_SET, [*known, series([[1, "3"]], node="b", __name__=WORKING_SET)], ALL, P)
    found = [(r.container_id, pairs(r.rss), pairs(r.working_set)) for r in rows.rows()]
    assert found == [
        (HEX, [(1, 1), (1.5, 9), (2, 2)], [(1, 1), (1.5, 9), (2, 3)]),
        ("", [(1, 1)], []),
        ("", [(1, 2)], [(1, 3)]),
    ]


def test_steps_and_what_is_raw_after_them_are_one_series() -> None:
    rows = Rows("ai")
    rows.add(RSS, [series([[60, "1"], [120, "2"], [180, "9"]], name=HEX)], Window(59.999, 120), P)
    rows.add(RSS, [series([[120, "9"], [135, "3"], [150, "4"]], name=HEX)], Window(120, 140), P)
    assert [pairs(r.rss) for r in rows.rows()] == [[(60, 1), (120, 2), (135, 3)]]


def test_rows_drop_what_was_not_asked_for() -> None:
    rows = Rows("ai")
    outside = series([[10, "1"], [20.001, "1"], [99, "1"]])
    foreign = [series([[15, "1"]], namespace="b"), series([[15, "1"]], pod="q"), {"metric": {}, "values": [[15, "1"]]}]
    rows.add(RSS, [outside, *foreign], Window(10.0, 20.0), P)
    assert rows.rows() == ()


def test_the_load_of_a_container_without_id_is_its_own() -> None:
    """The CPU's series say which processors they are of; nothing else differs."""
    rows = Rows("ai")
    rows.add(RSS, [series([[1, "1"]], node="a", __name__=RSS), series([[1, "1"]], node="b", __name__=RSS)], ALL, P)
    rows.add(LOAD, [series([[1, "0.5"], [2, "0.5"]], node="a", cpu="total")], ALL, P)
    assert [pairs(r.load) for r in rows.rows()] == [[(1, 0.5)], []], "and it ends with its memory"


def test_the_load_of_a_pod_is_each_container_s() -> None:
    rows = Rows("ai")
    rows.add(RSS, [series([[1, "1"]], name=HEX), series([[1, "1"]], container="proxy")], ALL, P)
    rows.add(POD_LOAD, [{"metric": {"namespace": "ai", "pod": "p"}, "values": [[1, "7"]]}], ALL, P)
    assert [(r.container, pairs(r.load)) for r in rows.rows()] == [("c", [(1, 7)]), ("proxy", [(1, 7)])]


def test_load_and_kills_alone_are_no_instance() -> None:
    rows = Rows("ai")
    rows.add(LOAD, [series([[1, "1"]], name=HEX)], ALL, P)
    rows.add(OOMS, [series([[1, "1"]], name=HEX)], ALL, P)
    assert rows.rows() == ()


def figure(value: str, **labels: str) -> dict[str, Any]:
    return {"metric": {"namespace": "ai", "pod": "p", "container": "c", **labels}, "value": [1000, value]}


def test_figures_become_rows() -> None:
    rows = ScreenRows("ai", (60.0, 600.0))
    for window_s, slope, samples in ((60.0, "1.5", "2"), (600.0, "-0.5", "40")):
        rows.add(Figure(Kind.SLOPE, window_s), [figure(slope, name=HEX)], P)
        rows.add(Figure(Kind.SAMPLES, window_s), [figure(samples, name=HEX)], P)
    rows.add(Figure(Kind.RSS), [figure("7", name=HEX, __name__="m"), figure("9", pod="q"), figure("NaN", node="x")], P)
    rows.add(Figure(Kind.LAST), [figure("999.5", name=HEX), figure("1", namespace="b")], P)
    [row] = rows.rows()
    assert (row.pod, row.container, row.container_id) == ("p", "c", HEX)
    assert (row.slopes_bytes_per_s, row.samples) == ((None, -0.5), 40)
    assert (row.rss_bytes, row.working_set_bytes, row.last_s) == (7.0, None, 999.5)


def test_of_two_scrapers_of_one_instance_the_greater_figure_counts() -> None:
    rows = ScreenRows("ai", ())
    rows.add(Figure(Kind.RSS), [figure(v, name=HEX, replica=v) for v in ("2", "3", "1")], P)
    assert [r.rss_bytes for r in rows.rows()] == [3.0]


def test_two_series_without_id_stay_two() -> None:
    rows = ScreenRows("ai", ())
    rows.add(Figure(Kind.RSS), [figure(v, node=v) for v in ("2", "3")], P)
    assert [r.rss_bytes for r in rows.rows()] == [2.0, 3.0]
