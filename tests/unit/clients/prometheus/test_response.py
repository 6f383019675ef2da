from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from memroll.clients.prometheus.response import BadResponseError, iter_series, parse_number, parse_samples

if TYPE_CHECKING:
    from memroll.detection.series import Series

HEX = "0123456789abcdef" * 4


def response(*series: object, **more: object) -> str:
    data = {"resultType": "matrix", "result": series}
    return json.dumps({"status": "success", "data": data, **more})


def pairs(series: Series) -> list[tuple[float, float]]:
    return list(zip(series.times_s.tolist(), series.values.tolist(), strict=True))


@pytest.mark.parametrize("indent", [None, 2])
def test_yields_each_series(indent: int | None) -> None:
    text = json.dumps(json.loads(response({"a": [1]}, {"b": {}}, infos=["x"], stats={"y": 1})), indent=indent)
    assert list(iter_series(text, "matrix")) == [{"a": [1]}, {"b": {}}]
    assert list(iter_series(f" {text}\n", "matrix")) == [{"a": [1]}, {"b": {}}]


def test_the_order_of_the_members_does_not_matter() -> None:
    text = '{"data":{"result":[{"a":1}],"resultType":"matrix"},"status":"success"}'
    assert list(iter_series(text, "matrix")) == [{"a": 1}]


HINT = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket"


def test_a_hint_on_the_query_is_no_warning() -> None:
    """Prometheus 2.48 to 2.53 send hints as warnings."""
    assert list(iter_series(response({"a": 1}, warnings=[HINT]), "matrix")) == [{"a": 1}]


BAD = [
    pytest.param(response(warnings=[HINT, "w"]), "PartialData", id="a warning next to a hint"),
    pytest.param(response(warnings=["w"]), "PartialData", id="a warning"),
    pytest.param(response({"a": 1}, isPartial=True), "PartialData", id="a part of the storage"),
    pytest.param(response({"a": 1}, warnings="w"), "PartialData", id="a warning of another shape"),
    pytest.param(response(status="error", error="why"), "BadResponse", id="an error with HTTP 200"),
    pytest.param(response() + "{}", "BadResponse", id="two responses"),
    pytest.param(response({"a": 1})[:-3], "BadResponse", id="a response truncated at its end"),
    pytest.param(response({"a": 1})[:50], "BadResponse", id="a response truncated in the middle"),
    pytest.param("[" * 100_000, "BadResponse", id="brackets without end"),
    pytest.param('{"data":' + "[" * 100_000, "BadResponse", id="brackets without end inside"),
    pytest.param('{"data":{"result":[{"a":1},]}}', "BadResponse", id="an additional comma"),
    pytest.param("{1:2}", "BadResponse", id="a member without a name"),
    pytest.param('{"a" 2}', "BadResponse", id="a member without a colon"),
    pytest.param("null", "BadResponse", id="null"),
    pytest.param("", "BadResponse", id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_invalid_responses_are_rejected(text: str, reason: str) -> None:
    with pytest.raises(BadResponseError) as caught:
        list(iter_series(text, "matrix"))
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
    assert pairs(parse_samples(values)) == expected


@pytest.mark.parametrize(
    "values",
    [None, {}, "a", [1], [None], [[]], [[1]], [[1, "1", 1]], [["1", "1"]], [[1, 1]], [[1, None]], [[True, "1"]],
     [[1, ""]], [[1, "x"]], ["ab"], [[1, ["1"]]], [[[1], "1"]], [[1, "1"], [2]], [[10**400, "1"]]],
)  # fmt: skip
def test_invalid_samples_are_rejected(values: object) -> None:
    with pytest.raises(BadResponseError, match="samples"):
        parse_samples(values)


@pytest.mark.parametrize(
    ("value", "expected"), [([1, "2"], 2.0), ([1.5, "-4e3"], -4000.0), ([1, "NaN"], None), ([1, "+Inf"], None)]
)
def test_a_number(value: object, expected: float | None) -> None:
    assert parse_number(value) == expected


@pytest.mark.parametrize(
    "value", [None, {}, "ab", [], [1], [1, "1", 1], ["1", "1"], [1, 1], [True, "1"], [1, "x"], [1, None]]
)
def test_an_invalid_number_is_rejected(value: object) -> None:
    with pytest.raises(BadResponseError, match="a sample"):
        parse_number(value)


def series(values: list[list[object]], **labels: str) -> dict[str, Any]:
    return {"metric": {"namespace": "ai", "pod": "p", "container": "c", **labels}, "values": values}


def test_decoding_needs_little_memory_in_addition_to_the_text() -> None:
    """One series is decoded at a time: the samples of a response never exist as Python objects all at once."""
    points = [[1000.0 + n, str(n)] for n in range(1000)]
    text = response(*(series(points, name=HEX, node=str(n)) for n in range(50)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in iter_series(text, "matrix"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (count, peak < len(text) / 2) == (50, True)
