"""Series: the newest value at a time."""

from __future__ import annotations

import numpy as np

from memroll.detection.series import EMPTY, Series


def test_the_newest_value_counts_until_the_next_sample():
    found = Series.of([(10.0, 1.0), (20.0, 2.0)]).at(np.array([9.0, 10.0, 19.9, 20.0, 99.0]))
    np.testing.assert_array_equal(found, [np.nan, 1.0, 1.0, 2.0, 2.0])


def test_an_empty_series_has_no_value_at_any_time():
    np.testing.assert_array_equal(EMPTY.at(np.array([1.0, 2.0])), [np.nan, np.nan])
