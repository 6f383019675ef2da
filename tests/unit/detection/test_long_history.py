"""Long history: the extremes of complete steps, as Prometheus computes them."""

import numpy as np

from memroll.detection.long_history import step_extremes
from memroll.detection.series import EMPTY, Series

HOUR_S = 3600.0


def test_each_complete_step_has_its_minimum_and_maximum_at_its_end() -> None:
    times = np.arange(60.0, 3 * HOUR_S + 60, 60)
    minima, maxima = step_extremes(Series(times, times), HOUR_S)
    assert minima.times_s.tolist() == [HOUR_S, 2 * HOUR_S, 3 * HOUR_S]
    assert minima.values.tolist() == [60.0, HOUR_S + 60, 2 * HOUR_S + 60]
    assert maxima.values.tolist() == [HOUR_S, 2 * HOUR_S, 3 * HOUR_S]


def test_the_step_that_has_not_ended_is_left_out() -> None:
    minima, _ = step_extremes(Series.of([(10.0, 1.0), (HOUR_S + 1, 2.0)]), HOUR_S)
    assert minima.times_s.tolist() == [HOUR_S]


def test_a_step_without_samples_is_left_out() -> None:
    minima, _ = step_extremes(Series.of([(10.0, 1.0), (5 * HOUR_S, 2.0)]), HOUR_S)
    assert minima.times_s.tolist() == [HOUR_S, 5 * HOUR_S]


def test_without_samples_there_is_no_long_history() -> None:
    assert step_extremes(EMPTY, HOUR_S) == (EMPTY, EMPTY)
