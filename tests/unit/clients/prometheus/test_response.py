from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.prometheus.response import BadAnswer, number_of, samples_of, series_of

if TYPE_CHECKING:
    from memroll.detection.series import Series

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


HINT = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket"


def test_a_remark_on_the_query_is_no_warning() -> None:
    """Prometheus 2.48 to 2.53 send them under that name."""
    assert list(series_of(answer({"a": 1}, warnings=[HINT]), "matrix")) == [{"a": 1}]


BAD = [
    pytest.param(answer(warnings=[HINT, "w"]), "PartialData", id="a warning beside a remark"),
    pytest.param(answer(warnings=["w"]), "PartialData", id="a warning"),
    pytest.param(answer({"a": 1}, isPartial=True), "PartialData", id="a part of the storage"),
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
    ("value", "expected"), [([1, "2"], 2.0), ([1.5, "-4e3"], -4000.0), ([1, "NaN"], None), ([1, "+Inf"], None)]
)
def test_a_number(value: object, expected: float | None) -> None:
    assert number_of(value) == expected


@pytest.mark.parametrize(
    "value", [None, {}, "ab", [], [1], [1, "1", 1], ["1", "1"], [1, 1], [True, "1"], [1, "x"], [1, None]]
)
def test_a_number_of_another_shape(value: object) -> None:
    with pytest.raises(BadAnswer, match="a sample"):
        number_of(value)


def series(values: list[list[object]], **labels: str) -> dict[str, Any]:
    return {"metric": {"namespace": "ai", "pod": "p", "container": "c", **labels}, "values": values}


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
