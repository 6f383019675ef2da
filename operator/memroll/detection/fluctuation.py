"""Fluctuation of a workload's memory: how far it falls by itself, within the time that the growth has lasted.

Takes a `TrendWindow` with its peers, returns the statistic of a check in `exhaustion`. A leak does not give memory
back. Memory that wanders up for hours also wanders down for hours: a rise that is no larger than such a fall is no
evidence that it continues up to the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import format_mib, humanize_duration
from memroll.detection.lower_envelope import MAX_BINS, lower_envelope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.growth_phase import GrowthPhase
    from memroll.detection.window import TrendWindow

FALL_BINS = 8
"""Bins in the time within which a fall is looked for: a fall that fills one of them may be a garbage collection.

Chosen on the design set of `make bench-detect`, as is the next.
"""
MAX_FALL_RATIO = 0.4
"""Maximum ratio of the largest fall to the rise of the growth phase for the rise to stand out."""


def largest_fall_ratio(window: TrendWindow, phase: GrowthPhase) -> float:
    """Return the largest fall of this container or of a peer, within the phase's duration, as a ratio of its rise."""
    falls = (_largest_fall_bytes(window, history, phase.duration_s) for history in (window.history, *window.peers))
    return max(falls) / phase.rise_bytes if phase.rise_bytes > 0 else float("inf")


def describe(fall_ratio: float, phase: GrowthPhase, lead_s: float) -> str:
    """Return the message for a rise that does not stand out from the falls."""
    fell, lasted, lead = format_mib(fall_ratio * phase.rise_bytes), *map(humanize_duration, (phase.duration_s, lead_s))
    return f"memory fell by {fell} within {lasted} before, here or in a peer: rolled when {lead} are left"


def _largest_fall_bytes(window: TrendWindow, history: ContainerHistory, within_s: float) -> float:
    """Return the largest fall of the level within this time, between the warm-up and now."""
    start_s = max(history.started_at_s + window.parameters.warm_up_s, history.rss.first_s)
    width_s = max(window.parameters.window_s / MAX_BINS, within_s / FALL_BINS)
    end_s = min(window.at_s, history.rss.last_s)
    bins = int((end_s - start_s) / width_s) if end_s > start_s else 0
    levels = lower_envelope(history.rss, end_s - bins * width_s, end_s, bins=bins).values_bytes if bins > 1 else None
    return 0.0 if levels is None or levels.size < 2 else _largest_fall(levels, round(within_s / width_s))  # noqa: PLR2004


def _largest_fall(levels: NDArray[np.float64], lags: int) -> float:
    """Return the largest fall within this many bins."""
    padded = np.concatenate((np.full(lags, -np.inf), levels))
    highest = np.lib.stride_tricks.sliding_window_view(padded, lags + 1).max(axis=1)
    return float((highest - levels).max())
