from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from memroll.prometheus.answers import BadAnswer, Rows, container_id_of, samples_of, series_of
from memroll.prometheus.queries import RSS, WORKING_SET

if TYPE_CHECKING:
    from memroll.analysis.series import Series

HEX = "0123456789abcdef" * 4


def answer(*series: object, **more: object) -> str:
    data = {"resultType": "matrix", "result": series}
    return json.dumps({"status": "success", "data": data, **more})


def pairs(series: Series) -> list[tuple[float, float]]:
    return list(zip(series.times_s.tolist(), series.values.tolist(), strict=True))


@pytest.mark.parametrize("indent", [None, 2])
def test_yields_each_series(indent: int | None) -> None:
    text = json.dumps(json.loads(answer({"a": [1]}, {"b": {}}, infos=["x"], stats={"y": 1})), indent=indent)
    assert list(series_of(text, "matrix")) == [{"a": [1]}, {"b": {}}]
    assert list(series_of(f" {text}\n", "matrix")) == [{"a": [1]}, {"b": {}}]


def test_the_order_of_the_members_does_not_matter() -> None:
    text = '{"data":{"result":[{"a":1}],"resultType":"matrix"},"status":"success"}'
    assert list(series_of(text, "matrix")) == [{"a": 1}]


BAD = [
    pytest.param(answer(warnings=["w"]), "PartialData", id="a warning"),
    pytest.param(answer({"a": 1}, warnings="w"), "PartialData", id="a warning of another shape"),
    pytest.param(answer(status="error", error="why"), "BadResponse", id="an error with HTTP 200"),
    pytest.param(answer() + "{}", "BadResponse", id="two answers"),
    pytest.param(answer({"a": 1})[:-3], "BadResponse", id="an answer cut off at its end"),
    pytest.param(answer({"a": 1})[:50], "BadResponse", id="an answer cut off in the middle"),
    pytest.param("[" * 100_000, "BadResponse", id="brackets without end"),
    pytest.param('{"data":' + "[" * 100_000, "BadResponse", id="brackets without end inside"),
    pytest.param('{"data":{"result":[{"a":1},]}}', "BadResponse", id="a comma too many"),
    pytest.param("{1:2}", "BadResponse", id="a member without a name"),
    pytest.param('{"a" 2}', "BadResponse", id="a member without a colon"),
    pytest.param("null", "BadResponse", id="null"),
    pytest.param("", "BadResponse", id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_what_is_no_answer(text: str, reason: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        list(series_of(text, "matrix"))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([[1, "2"], [3.5, "4e3"]], [(1, 2), (3.5, 4000)], id="ordered"),
        pytest.param([[3, "4"], [1, "2"]], [(1, 2), (3, 4)], id="unordered"),
        pytest.param([[1, "2"], [1, "3"]], [(1, 3)], id="equal times: the last counts"),
        pytest.param([[1, "NaN"], [2, "+Inf"], [3, "-Inf"], [4, "0"]], [(4, 0)], id="not finite"),
        pytest.param([[float("inf"), "1"]], [], id="at no time"),
    ],
)
def test_samples(values: object, expected: list[tuple[float, float]]) -> None:
    assert pairs(samples_of(values)) == expected


@pytest.mark.parametrize(
    "values",
    [None, {}, "a", [1], [None], [[]], [[1]], [[1, "1", 1]], [["1", "1"]], [[1, 1]], [[1, None]], [[True, "1"]],
     [[1, ""]], [[1, "x"]], ["ab"], [[1, ["1"]]], [[[1], "1"]], [[1, "1"], [2]], [[10**400, "1"]]],
)  # fmt: skip
def test_samples_of_another_shape(values: object) -> None:
    with pytest.raises(BadAnswer, match="samples"):
        samples_of(values)


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
    rows = Rows("ai", 0.0, 100.0)
    known = [series([[1, "1"], [2, "2"]], name=HEX, replica="a"), series([[1.5, "9"], [2, "2"]], name=HEX)]
    rows.add(RSS, [*known, series([[1, "1"]], node="a"), series([[1, "2"]], node="b")], frozenset({"p"}))
    rows.add(WORKING_SET, [series([[1, "3"]], node="b", __name__=WORKING_SET)], frozenset({"p"}))
    found = [(r.container_id, pairs(r.rss), pairs(r.working_set)) for r in rows.rows()]
    assert found == [
        (HEX, [(1, 1), (1.5, 9), (2, 2)], []),
        ("", [(1, 1)], []),
        ("", [(1, 2)], [(1, 3)]),
    ]


def test_rows_drop_what_was_not_asked_for() -> None:
    rows = Rows("ai", 10.0, 20.0)
    outside = series([[10, "1"], [20.001, "1"], [99, "1"]])
    foreign = [series([[15, "1"]], namespace="b"), series([[15, "1"]], pod="q"), {"metric": {}, "values": [[15, "1"]]}]
    rows.add(RSS, [outside, *foreign], frozenset({"p"}))
    assert rows.rows() == ()


def test_decoding_keeps_little_beside_the_text() -> None:
    """One series at a time: the samples of an answer never exist as Python objects all at once."""
    points = [[1000.0 + n, str(n)] for n in range(1000)]
    text = answer(*(series(points, name=HEX, node=str(n)) for n in range(50)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in series_of(text, "matrix"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (count, peak < len(text) / 2) == (50, True)
