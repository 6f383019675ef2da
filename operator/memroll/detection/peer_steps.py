"""Histories of peers, in steps of minutes: what is compared with a peer is its level over a quarter of an hour or more.

Takes the history of a peer, returns it with the extreme of each step. A history that was read in such steps is returned
as it is, so the operator, which reads peers that way, and the backtest, which has all samples, compare the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.samples import TICK_S, SampleRange
from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

MAX_STEPS_PER_WINDOW = 72
"""Maximum number of steps in a window: 5 min each, in a window of 6 h. A third of a bin of the window, and half of a
bin of the next shorter one (`lower_envelope.MAX_BINS`)."""


def step_of(parameters: DetectionParameters) -> float | None:
    """Return the length of a step of peers, in seconds: a multiple of that of candidates.

    None if peers are read as candidates are: every sample, or in steps that are long already.
    """
    step_s = SampleRange.for_window(parameters.lookback_s, parameters.window_s).step_s
    if step_s is None:
        return None
    factor = int(parameters.window_s / MAX_STEPS_PER_WINDOW / step_s + TICK_S)
    return round(factor * step_s, 3) if factor > 1 else None


def in_steps(peer: ContainerHistory, step_s: float | None, lookback_s: float, now_s: float) -> ContainerHistory:
    """Return what was known of a peer at `now_s` of the `lookback_s` seconds before, in steps."""
    if step_s is None:
        return peer.as_of(now_s, lookback_s)
    peer, steps = peer.as_of(now_s), _Steps(round(step_s * 1000), now_s - lookback_s, now_s)
    return replace(
        peer,
        rss=steps.extremes(peer.rss, np.minimum),
        working_set=steps.extremes(peer.working_set, np.maximum),
        active_file=steps.extremes(peer.active_file, np.maximum),
        swap=steps.extremes(peer.swap, np.maximum),
        load=EMPTY,
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps of this length, in milliseconds, that begin at `start_s` or later and contain no sample after `end_s`."""

    length_ms: int
    start_s: float
    end_s: float

    def extremes(self, series: Series, function: np.ufunc) -> Series:
        """Return the extreme of each step, with the time of its end, or with `end_s` if it is not complete."""
        ends_ms = -(np.rint(series.times_s * -1000).astype(np.int64) // self.length_ms) * self.length_ms
        first = np.flatnonzero(np.diff(ends_ms, prepend=-1))
        first = first[ends_ms[first] >= round(self.start_s * 1000) + self.length_ms]
        if not first.size:
            return EMPTY
        ends_s = np.minimum(ends_ms[first] / 1000, self.end_s)
        return Series(ends_s, function.reduceat(series.values, first))
