"""Chart that compares the rules: bars as long as their figures, with the figures as text."""

from __future__ import annotations

import pytest

from memroll.backtest.replay import ReplayResult
from memroll.backtest.rule_chart import LEGEND, chart_rows, legend_of
from memroll.backtest.runner import BacktestResult
from tests.unit.backtest.histories import HOUR, trace


def result(deriv_h, *, oom_h=None, label=""):
    found = trace([0.0, 40 * HOUR], [1, 1], label=label, oom_s=None if oom_h is None else oom_h * HOUR)
    return BacktestResult(found, ReplayResult(), {"deriv": None if deriv_h is None else deriv_h * HOUR})


RESULTS = [
    result(30, oom_h=40),
    result(39.5, oom_h=40),
    result(None, oom_h=40),
    result(None, oom_h=40),
    result(3, label="no-leak"),
    result(3),
    result(None),
]


def test_the_policy_is_the_first_row_and_each_rule_has_one():
    assert [(row.name, row.is_policy) for row in chart_rows(RESULTS, ["deriv"])] == [
        ("memroll", True),
        ("deriv", False),
    ]


def test_bars_have_the_length_of_their_figures():
    _, deriv = chart_rows(RESULTS, ["deriv"])
    assert deriv.prevented.segments == (("good", 25.0), ("soft", 25.0), ("bad", 50.0))
    assert (deriv.prevented.text, deriv.prevented.note) == ("2 of 4", "5h15m ahead")
    assert deriv.without_oom.segments == (("bad", pytest.approx(33.3)), ("warn", pytest.approx(33.3)))
    assert (deriv.without_oom.text, deriv.without_oom.note) == ("2 of 3", "1 healthy")
    assert deriv.wasted.text == "13%"


def test_a_figure_that_is_not_known_has_a_text_and_no_bar():
    (policy, _) = chart_rows([result(None)], ["deriv"])
    assert (policy.prevented.text, policy.prevented.segments) == ("no OOM kill", ())
    assert (policy.wasted.text, policy.wasted.segments) == ("-", ())
    (policy, _) = chart_rows([result(None, oom_h=40)], ["deriv"])
    assert policy.without_oom.text == "no other"


def test_the_legend_has_the_colours_in_use():
    assert list(legend_of(chart_rows(RESULTS, ["deriv"]))) == list(LEGEND)
    assert legend_of(chart_rows([result(None)], ["deriv"])) == {}


def test_without_rules_or_containers_there_is_no_chart():
    assert chart_rows(RESULTS, []) == []
    assert chart_rows([], ["deriv"]) == []
