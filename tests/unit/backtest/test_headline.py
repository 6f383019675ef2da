"""Sentence at the top of the report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.backtest.headline import headline
from memroll.backtest.replay import Evaluation, ReplayResult
from memroll.backtest.runner import BacktestResult
from memroll.detection.reasons import VerdictReason
from memroll.detection.verdict import ContainerVerdict, Verdict
from tests.unit.backtest.histories import HOUR, trace


def result(*, rolled_h=None, oom_h=None, label="", assessed=True):
    verdict = ContainerVerdict(Verdict.LEAKING, VerdictReason.NOT_GROWING, "")
    rolled = None if rolled_h is None else Evaluation(rolled_h * HOUR, verdict)
    found = trace([0.0, 48 * HOUR], [1, 1], label=label, oom_s=None if oom_h is None else oom_h * HOUR)
    return BacktestResult(found, ReplayResult(rolled=rolled, assessed=assessed), {})


SAVED, MISSED, ROLLED = result(rolled_h=30, oom_h=40), result(oom_h=40), result(rolled_h=30)
LATE, QUIET, UNKNOWN = result(rolled_h=41, oom_h=40), result(), result(assessed=False)
HEALTHY, ROLLED_HEALTHY = result(label="no-leak"), result(rolled_h=5, label="no-leak")


@pytest.mark.parametrize(
    ("results", "expected", "severity"),
    [
        (
            [SAVED, SAVED, QUIET, HEALTHY, HEALTHY],
            "memroll would have rolled 2 of 5 containers, both before their OOM kill, and no healthy one.",
            "good",
        ),
        ([SAVED, QUIET], "memroll would have rolled 1 of 2 containers, before its OOM kill.", "good"),
        ([SAVED] * 3, "memroll would have rolled 3 of 3 containers, all 3 before their OOM kill.", "good"),
        (
            [SAVED, ROLLED, ROLLED_HEALTHY, LATE],
            (
                "memroll would have rolled 4 of 4 containers, 1 before its OOM kill, 1 too late for its OOM kill,"
                " 1 without an OOM kill in the history, 1 although healthy."
            ),
            "bad",
        ),
        (
            [SAVED, MISSED],
            "memroll would have rolled 1 of 2 containers, before its OOM kill; 1 was OOM-killed without a roll.",
            "bad",
        ),
        ([MISSED, MISSED], "memroll would have rolled none of 2 containers; 2 were OOM-killed without a roll.", "bad"),
        ([QUIET, UNKNOWN], "memroll would have rolled none of 1 container, and none was OOM-killed.", "quiet"),
        ([QUIET, result(oom_h=9, assessed=False)], "memroll would have rolled none of 1 container.", "quiet"),
        ([UNKNOWN], "No container could be assessed.", "bad"),
        ([], "No container could be assessed.", "bad"),
    ],
)
def test_the_headline_counts_rolls_and_oom_kills(results, expected, severity):
    found = headline(results)
    assert (found.text, found.severity) == (expected, severity)


def test_without_labels_nothing_is_claimed_about_healthy_containers():
    assert "healthy" not in headline([replace(SAVED), QUIET]).text
