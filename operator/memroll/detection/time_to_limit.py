"""How far it is to the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from memroll.detection.window import Look

PEAK_SHARE_OF_WINDOW = 1 / 12


def time_to_limit_s(look: Look) -> float:
    """Return when the usage meets the limit at this slope, in seconds; infinite without a limit or a climb."""
    limit, per_s = look.subject.limit_bytes, look.trend.slope_bytes_per_s
    if limit is None or per_s <= 0:
        return float("inf")
    return max(0.0, (limit - recurring_peak_bytes(look)) / per_s)


def recurring_peak_bytes(look: Look) -> float:
    """Return the highest usage that recurs, as of now: each recent sample carried forward along the slope."""
    recent = look.subject.working_set.between(look.at_s - max(PEAK_SHARE_OF_WINDOW * look.window_s, 0), look.at_s)
    if not len(recent):
        known = look.subject.working_set.until(look.at_s)
        return float(known.values[-1]) if len(known) else 0.0
    ahead = max(0.0, look.trend.slope_bytes_per_s) * (look.at_s - recent.times_s)
    return float(np.quantile(recent.values + ahead, 0.9))
