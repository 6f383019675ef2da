"""Clocks of the process."""

from __future__ import annotations

import time

from memroll import clock


def test_elapsed_time_is_that_since_the_boot_with_suspensions():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= clock.elapsed_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)
