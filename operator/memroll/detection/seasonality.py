"""What the container's own past says about a climb: the day before, and the highest it has been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import BINS_MAX, floor
from memroll.detection.trend import middle, pairwise_slopes, trend

if TYPE_CHECKING:
    from memroll.detection.window import Look

HOURS_SHARE = 1 / 8
"""The same hours of the day before: this share of the window before and after."""
PAST_QUANTILE = 0.95
BINS_YESTERDAY = 6
ALIKE_SHARE = 0.5
BUSIER_SHARES = (1 / 6, 2 / 3)
AHEAD_TIMES_LEFT = 1.5


def above_yesterday_bytes(look: Look) -> float:
    """Bytes above the highest floor of the same hours of the day before; infinity where these have no samples."""
    centre_s, around_s = look.at_s - look.rule.day_s, HOURS_SHARE * look.rule.window_s
    points = floor(look.subject.rss, centre_s - around_s, centre_s + around_s, bins=4)
    return look.level_bytes - float(points.values_bytes.max()) if len(points) else float("inf")


def above_past_bytes(look: Look) -> float:
    """Bytes above the 95th percentile of the floors of the past day, this window left out; infinity without any."""
    end_s = look.at_s - min(look.window_s, look.rule.window_s)
    bins = round(BINS_MAX * (look.rule.day_s / look.rule.window_s))
    points = floor(look.subject.rss, look.at_s - look.rule.day_s, end_s, bins=bins)
    return look.level_bytes - float(np.quantile(points.values_bytes, PAST_QUANTILE)) if len(points) else float("inf")


def peak_as_yesterday_bytes(look: Look, usage_bytes: float, left_s: float) -> float:
    """Return how high the usage will be if the day goes on as the day before did; infinity where the days differ.

    They are alike when it climbed at the same hours of the day before as well, at half of this slope or more. What it
    gained then in the time that follows, half as much again as is left to the limit, is scaled to this slope.
    """
    at_s, ahead_s = look.at_s - look.rule.day_s, AHEAD_TIMES_LEFT * left_s
    before = floor(look.subject.rss, at_s - look.window_s, at_s, bins=BINS_YESTERDAY)
    after = floor(look.subject.rss, at_s, at_s + ahead_s, bins=BINS_YESTERDAY)
    if len(before) < BINS_YESTERDAY or not len(after):
        return float("inf")
    then, now = middle(pairwise_slopes(before)), look.trend.slope_bytes_per_s
    if then < ALIKE_SHARE * now:
        return float("inf")
    gained = max(0.0, float(after.values_bytes.max() - before.values_bytes[-1]))
    return usage_bytes + gained * now / then


def peak_of_scaled_day_bytes(look: Look) -> float:
    """Return how high the floor will be if this day is the day before, only busier; infinity where it isn't.

    So it looks on a Monday: the same hours of the day before climbed, too, without doubt but by a sixth to two thirds
    of this slope. What they gained from this hour on is scaled to this slope.
    """
    at_s = look.at_s - look.rule.day_s
    if look.window_s > look.rule.window_s:
        return float("inf")
    before = floor(look.subject.rss, at_s - look.window_s, at_s, bins=BINS_MAX // 2)
    if len(before) < BINS_MAX // 2 or before.times_s[0] - look.judged_from_s < 0:
        return float("inf")
    then, now = trend(before, look.window_s), look.trend.slope_bytes_per_s
    doubtful = then.bound_bytes_per_s <= (look.rule.threshold_bytes_per_s or 0.0) / 2
    if doubtful or not BUSIER_SHARES[0] < then.slope_bytes_per_s / now < BUSIER_SHARES[1]:
        return float("inf")
    after = floor(look.subject.rss, at_s, look.at_s - look.rule.day_s / 2, bins=BINS_MAX // 2)
    gained = max(0.0, float(after.values_bytes.max() - before.values_bytes[-1])) if len(after) else 0.0
    return look.level_bytes + gained * now / then.slope_bytes_per_s
