"""The table of the price of each constant: changes against the unchanged detector, in bounded time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.bench.detect import constants, sensitivity, sets, singles


@pytest.fixture(scope="module")
def cases():
    made = (singles.single(kind, np.random.default_rng(4)) for kind in ("steady", "flat"))
    return [sets.case_of(t, "single", t.kind) for t in made]


def test_a_constant_that_decides_changes_the_figures(cases):
    found, _ = constants.found()
    decides = next(c for c in found if c.name == "MIN_USAGE_RATIO")
    unchanged = sensitivity.figures_with(None, 0.0, cases)
    saved = [name for name, _, _ in sensitivity.COLUMNS].index("saved")
    assert unchanged[saved] == 1.0
    assert sensitivity.figures_with(decides, 2.0, cases)[saved] == 0.0, "no usage is twice the limit"
    again = sensitivity.figures_with(None, 0.0, cases)
    assert [a == b or math.isnan(a) for a, b in zip(unchanged, again, strict=True)] == [True] * len(again)


def test_no_constant_is_varied_after_the_time_is_over():
    assert sensitivity.run_task(((None, 0.0), -math.inf)) == "not varied: no time left"


def test_a_value_that_the_code_does_not_permit_is_a_row(monkeypatch):
    def fails(*_):
        raise ValueError("no such value")

    monkeypatch.setattr(sensitivity, "figures_with", fails)
    assert sensitivity.run_task(((None, 0.0), math.inf)) == "fails: ValueError: no such value"


def test_the_sub_set_has_harmless_pods_and_leaks():
    cases = sensitivity.small_set(sets.DESIGN)
    assert {c.set for c in cases} == set(sensitivity.PER_WORKLOAD)
    some = [cases[n] for n in sensitivity.evaluated(cases)]
    assert {c.set for c in some} == set(sensitivity.PER_WORKLOAD)
    assert sum(c.is_oom_bound for c in some) > 30
    assert sum(c.trace.days for c in some if not c.leaks) > 200
    assert len(some) < 0.6 * len(cases)


def test_some_pods_of_a_workload_are_evaluated(cases):
    fleet = [replace(cases[0], set="tight", trace=replace(cases[0].trace, workload="web")) for _ in range(7)]
    assert sensitivity.evaluated([*fleet, *cases]) == [0, 3, 6, 7, 8]
