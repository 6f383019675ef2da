"""What the other pods of a workload say: a leak's level goes by the pod's age, a load's by the clock.

`peers` are the other instances of the same container of the same workload: those that run beside this one, and earlier
ones whose samples are still there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.lower_envelope import BINS_MAX, BINS_MIN, Floor, floor
from memroll.detection.process_restarts import lives
from memroll.detection.trend import median, middle, pairwise_slopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.detection.container_history import Rule, Subject
    from memroll.detection.window import Look

PEERS_MOST = 20
ALIVE_SHARE = 1 / 12
"""A peer whose newest sample is older than this share of the window has gone."""
LEVEL_SHARE = 0.98
"""A peer stood as high when it stood at this share of the level or above."""
GROWTH_SHARE = 0.35
"""A peer that gained less than this share of what the slope promises has stopped growing."""
PARALLEL_SHARE = 0.5
AGE_GAP_WINDOWS = 0.5
NEAR_LIMIT_SHARE = 0.98


def newest(peers: Sequence[Subject], rule: Rule, now_s: float) -> tuple[Subject, ...]:
    """Return what was known of the peers' lives at `now_s`: of those with the newest samples, a bounded number."""
    seen = (p.seen(now_s, rule.lookback_s) for p in peers if p.started_at_s <= now_s)
    known = [life for p in seen for life in lives(p, rule) if len(life.rss)]
    return tuple(sorted(known, key=_newest_first)[:PEERS_MOST])


def _newest_first(peer: Subject) -> tuple[float, float, float, int]:
    """Order peers in a way that does not depend on how they came."""
    return -peer.rss.last_s, peer.started_at_s, float(peer.rss.values[-1]), len(peer.rss)


def survived(look: Look, peers: tuple[Subject, ...]) -> float:
    """Return the longest time, in seconds, that a peer stood as high without growing on; 0 when none did."""
    return max((_stood_s(look, peer) for peer in peers), default=0.0)


def _stood_s(look: Look, peer: Subject) -> float:
    width_s = look.rule.window_s / BINS_MAX
    start_s = peer.started_at_s + look.rule.warm_up_s
    seen = peer.rss.between(start_s, look.at_s)
    if not len(seen) or ended_at_limit(peer, look.at_s):
        return 0.0
    end_s = seen.last_s
    bins = int((end_s - start_s) / width_s)
    if bins < BINS_MIN / 2:
        return 0.0
    points = floor(peer.rss, end_s - bins * width_s, end_s, bins=bins)
    level = look.level_bytes
    high = np.flatnonzero(points.values_bytes >= LEVEL_SHARE * level)
    if not high.size:
        return 0.0
    # As high as now, and from then on: what it gained since against what this slope would have made of the time.
    first = int(high[0])
    stood_s = float(points.times_s[high[-1]] - points.times_s[first])
    top = median(points.values_bytes[high[-3:]])
    gained = max(0.0, top - float(points.values_bytes[first]))
    return stood_s if gained <= GROWTH_SHARE * look.trend.slope_bytes_per_s * stood_s else 0.0


def ended_at_limit(peer: Subject, at_s: float) -> bool:
    """Whether a peer went up to its limit, killed or about to be."""
    last = peer.working_set.until(at_s)
    if not len(last) or not peer.limit_bytes:
        return bool(peer.ooms_s)
    return bool(last.values[-1] >= NEAR_LIMIT_SHARE * peer.limit_bytes) or bool(peer.ooms_s)


def by_age(look: Look, peers: tuple[Subject, ...]) -> float:
    """Return how much of the slope goes by age: near 1 for a leak, near 0 for a load that all share.

    Asked of the peers that climb beside this one and whose age differs by half a window or more: the difference of
    the levels over the difference of the ages, as a share of the slope; the median over the peers. Infinite when
    there is no such peer: then age and clock can't be told apart.
    """
    own = look.trend.slope_bytes_per_s
    ratios = []
    for peer in peers:
        gap_s = look.subject.started_at_s - peer.started_at_s
        if abs(gap_s) < AGE_GAP_WINDOWS * look.rule.window_s:
            continue
        theirs = _beside(look, peer)
        if theirs is None:
            continue
        slope, level = theirs
        if slope >= PARALLEL_SHARE * own:
            ratios.append((level - look.level_bytes) / gap_s / own)
    return median(np.array(ratios)) if ratios else float("inf")


def shared(look: Look, peers: tuple[Subject, ...]) -> float:
    """Return the median slope of the peers that run beside this one, as a share of its own; 0 when there are none."""
    beside = [_beside(look, peer) for peer in peers]
    slopes = [b[0] for b in beside if b is not None]
    return median(np.array(slopes)) / look.trend.slope_bytes_per_s if slopes else 0.0


def _beside(look: Look, peer: Subject) -> tuple[float, float] | None:
    """Return a living peer's slope over the same time, in bytes per second, and its level; None for any other."""
    if look.at_s - peer.rss.until(look.at_s).last_s > ALIVE_SHARE * look.rule.window_s:
        return None
    start_s = max(look.start_s, peer.started_at_s + look.rule.warm_up_s)
    if look.at_s - start_s < (look.at_s - look.start_s) / 2:
        return None
    points: Floor = floor(peer.rss, start_s, look.at_s, bins=BINS_MAX // 2)
    if len(points) < BINS_MAX // 4:
        return None
    return middle(pairwise_slopes(points)), float(points.values_bytes[-2:].mean())
