"""Outcome of each container, and its counts for each rule."""

from __future__ import annotations

import pytest

from memroll.backtest.outcome import TraceOutcome, count_outcomes, outcome_of
from memroll.backtest.summary import Alert
from tests.unit.backtest.histories import HOUR, trace


def alert(*, rolled_h=None, oom_h=None, onset_h=None, label="", **known):
    times = {"oom_s": oom_h, "onset_s": onset_h}
    found = trace(
        [0.0, 48 * HOUR], [1, 1], label=label, **{name: None if h is None else h * HOUR for name, h in times.items()}
    )
    return Alert(found, None if rolled_h is None else rolled_h * HOUR, **known)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (alert(oom_h=40), TraceOutcome.MISSED),
        (alert(oom_h=40, rolled_h=40), TraceOutcome.MISSED),
        (alert(oom_h=40, rolled_h=39), TraceOutcome.SAVED),
        (alert(oom_h=40, rolled_h=39, label="leak"), TraceOutcome.SAVED),
        (alert(rolled_h=39), TraceOutcome.ROLLED),
        (alert(rolled_h=39, label="leak"), TraceOutcome.ROLLED),
        (alert(rolled_h=39, label="no-leak"), TraceOutcome.ROLLED_HEALTHY),
        (alert(oom_h=40, rolled_h=10, onset_h=20), TraceOutcome.ROLLED_HEALTHY),
        (alert(suspected_s=1.0, confirmed_s=2.0), TraceOutcome.CONFIRMED),
        (alert(suspected_s=1.0), TraceOutcome.SUSPECTED),
        (alert(), TraceOutcome.HEALTHY),
        (alert(assessed=False), TraceOutcome.NOT_ASSESSED),
        (alert(assessed=False, oom_h=40), TraceOutcome.NOT_ASSESSED),
    ],
)
def test_a_container_has_one_outcome(found, expected):
    assert outcome_of(found) is expected


def test_the_outcomes_of_a_rule_are_counted():
    counted = count_outcomes(
        "deriv",
        [
            alert(oom_h=40, rolled_h=38),
            alert(oom_h=40, rolled_h=39.5),
            alert(oom_h=40),
            alert(rolled_h=3, label="no-leak"),
            alert(rolled_h=3),
            alert(label="no-leak"),
        ],
    )
    assert (counted.figures.saved_1h, counted.saved_late, counted.missed) == (1, 1, 1)
    assert (counted.rolled_healthy, counted.rolled_others, counted.rolled_without_oom) == (1, 1, 2)
