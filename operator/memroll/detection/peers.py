"""Comparison of a container with its peers. Leaked memory depends on pod age, memory for load on wall-clock time.

Peers are the other instances of the same container in the same workload: the running ones, and earlier ones whose
samples Prometheus still has. Takes a `TrendWindow` with its peers, returns the statistics of the checks in
`leak_checks` and `exhaustion`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.api.quantity import humanize_duration
from memroll.detection.lower_envelope import MAX_BINS, MIN_BINS, lower_envelope
from memroll.detection.peer_steps import in_steps, step_of
from memroll.detection.process_restarts import process_lifetimes
from memroll.detection.trend import median, median_of_sorted, pairwise_slopes
from memroll.detection.unreclaimable import with_unreclaimable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.window import TrendWindow

MAX_PEERS = 20
"""Maximum number of peers that are compared, to bound the time of an assessment. Chosen by hand."""
MAX_SILENT_WINDOWS = 1 / 12
"""Maximum age of a running peer's newest sample, in windows: 30 min of 6 h. Chosen by hand."""
SAME_LEVEL_RATIO = 0.98
"""Minimum ratio of a peer's level to the container's for the peer to have reached it.

Chosen on the design set of `make bench-detect`, as are the next four.
"""
MAX_PLATEAU_GROWTH_RATIO = 0.35
"""Maximum ratio of a peer's growth since then to the growth at this slope for the peer to have plateaued."""
CONCURRENT_SLOPE_RATIO = 0.5
"""Minimum ratio of a peer's slope to the container's for the two to grow together."""
MIN_AGE_DIFFERENCE_WINDOWS = 0.5
"""Minimum difference between the ages of two peers to separate age from time, in windows."""
MIN_LONG_PLATEAU_DAYS = 1.1
"""Minimum time for which a peer must have stayed at the level of a slow leak to rule it out, in days: such a leak may
grow in steps of a day."""
NEAR_LIMIT_RATIO = 0.98
"""Ratio of the limit from which on a peer's last usage counts as having reached it."""
MIN_COMMON_GAIN_RATIO = 0.5
"""Minimum ratio of the growth in the last window before a peer reached its limit to that of the peer. Chosen by hand,
as is the next."""
EDGE_RATIO = 1 / 12
"""Ratio of that window whose lowest level is the one at its start, or at its end: half an hour of 6 h."""


def recent_peers(
    peers: Sequence[ContainerHistory], parameters: DetectionParameters, now_s: float
) -> tuple[ContainerHistory, ...]:
    """Return the peers' process lifetimes as of `now_s`: a bounded number, those with the newest samples."""
    step_s = step_of(parameters)
    histories = (in_steps(p, step_s, parameters.lookback_s, now_s) for p in peers if p.started_at_s <= now_s)
    measured = (with_unreclaimable(p, parameters) for p in histories)
    split = (process_lifetimes(p, parameters, step_s or 0.0) for p in measured)
    lifetimes = [part for parts in split for part in parts if len(part.rss)]
    return tuple(sorted(lifetimes, key=_newest_first)[:MAX_PEERS])


def _newest_first(peer: ContainerHistory) -> tuple[float, float, float, int]:
    """Return a sort key that does not depend on the order in which the peers were read."""
    return -peer.rss.last_s, peer.started_at_s, float(peer.rss.values[-1]), len(peer.rss)


def longest_plateau_s(window: TrendWindow, peers: tuple[ContainerHistory, ...]) -> float:
    """Return the longest time, in seconds, that a peer stayed at this level without growing on; 0 if none did."""
    return max((_plateau_s(window, peer) for peer in peers), default=0.0)


def _plateau_s(window: TrendWindow, peer: ContainerHistory) -> float:
    width_s = window.parameters.window_s / MAX_BINS
    start_s = peer.started_at_s + window.parameters.warm_up_s
    samples = peer.rss.between(start_s, window.at_s)
    if not len(samples) or ended_at_limit(peer, window.at_s):
        return 0.0
    end_s = samples.last_s
    bins = int((end_s - start_s) / width_s)
    if bins < MIN_BINS / 2:
        return 0.0
    envelope = lower_envelope(peer.rss, end_s - bins * width_s, end_s, bins=bins)
    high = np.flatnonzero(envelope.values_bytes >= SAME_LEVEL_RATIO * window.level_bytes)
    if not high.size:
        return 0.0
    # From the first time at this level on: the peer's growth since then, against that of this slope in the same time.
    first = int(high[0])
    plateau_s = float(envelope.times_s[high[-1]] - envelope.times_s[first])
    top = median(envelope.values_bytes[high[-3:]])
    gained = max(0.0, top - float(envelope.values_bytes[first]))
    return plateau_s if gained <= MAX_PLATEAU_GROWTH_RATIO * window.trend.slope_bytes_per_s * plateau_s else 0.0


def describe_plateau(plateau_s: float) -> str:
    """Return the message for a peer that stayed at this level this long."""
    lasted = humanize_duration(plateau_s)
    return f"another pod of this workload was at the same level for {lasted} and stopped there"


def ended_at_limit(peer: ContainerHistory, at_s: float) -> bool:
    """Return whether a peer's usage went up to its limit: it was killed, or is about to be."""
    last = peer.usage.until(at_s)
    if not len(last) or not peer.limit_bytes:
        return bool(peer.oom_kills_s)
    return bool(last.values[-1] >= NEAR_LIMIT_RATIO * peer.limit_bytes) or bool(peer.oom_kills_s)


def follows_to_limit(
    history: ContainerHistory, peers: tuple[ContainerHistory, ...], window_s: float, at_s: float
) -> bool:
    """Return whether peers that went up to their limit show that this container will.

    Most of the peers do, or it grew as one of them did, at the same time. One sick pod is no evidence about the others.
    """
    ended = [p for p in peers if ended_at_limit(p, at_s)]
    return 2 * len(ended) > len(peers) or any(_grew_with(history, p, window_s, at_s) for p in ended)


def _grew_with(history: ContainerHistory, peer: ContainerHistory, window_s: float, at_s: float) -> bool:
    """Return whether a container grew by half as much as a peer in the last window of that peer, or more."""
    end_s = peer.rss.until(at_s).last_s
    start_s = max(end_s - window_s, peer.rss.first_s)
    own, other = (_gain_bytes(h, start_s, end_s) for h in (history, peer))
    return own is not None and other is not None and own >= MIN_COMMON_GAIN_RATIO * other > 0


def _gain_bytes(history: ContainerHistory, start_s: float, end_s: float) -> float | None:
    """Return by how much the level rose; None if there are no samples of the start or of the end."""
    edge_s = EDGE_RATIO * (end_s - start_s)
    first, last = history.rss.between(start_s - edge_s, start_s + edge_s), history.rss.between(end_s - edge_s, end_s)
    return float(last.values.min() - first.values.min()) if len(first) and len(last) else None


def age_dependence(window: TrendWindow, peers: tuple[ContainerHistory, ...]) -> float:
    """Return the ratio of the slope that depends on age: near 1 for a leak, near 0 for a load that all pods share.

    For each peer that grows at the same time and whose age differs by half a window or more: the difference of the
    levels over the difference of the ages, as a ratio of the slope. The result is the median over these peers; infinity
    without such a peer, because age and time cannot be separated then.
    """
    own = window.trend.slope_bytes_per_s
    ratios = []
    for peer in peers:
        age_difference_s = window.history.started_at_s - peer.started_at_s
        if abs(age_difference_s) < MIN_AGE_DIFFERENCE_WINDOWS * window.parameters.window_s:
            continue
        concurrent = _concurrent_growth(window, peer)
        if concurrent is None:
            continue
        slope, level = concurrent
        if slope >= CONCURRENT_SLOPE_RATIO * own:
            ratios.append((level - window.level_bytes) / age_difference_s / own)
    return median(np.array(ratios)) if ratios else float("inf")


def common_growth(window: TrendWindow, peers: tuple[ContainerHistory, ...]) -> float:
    """Return the median slope of the running peers, as a ratio of the container's own; 0 without running peers."""
    concurrent = [_concurrent_growth(window, peer) for peer in peers]
    slopes = [c[0] for c in concurrent if c is not None]
    return median(np.array(slopes)) / window.trend.slope_bytes_per_s if slopes else 0.0


def _concurrent_growth(window: TrendWindow, peer: ContainerHistory) -> tuple[float, float] | None:
    """Return a running peer's slope over the same time, in bytes per second, and its level; None for any other."""
    at_s, parameters = window.at_s, window.parameters
    if at_s - peer.rss.until(at_s).last_s > MAX_SILENT_WINDOWS * parameters.window_s:
        return None
    start_s = max(window.start_s, peer.started_at_s + parameters.warm_up_s)
    if at_s - start_s < (at_s - window.start_s) / 2:
        return None
    envelope = lower_envelope(peer.rss, start_s, at_s, bins=MAX_BINS // 2)
    if len(envelope) < MAX_BINS // 4:
        return None
    return median_of_sorted(pairwise_slopes(envelope)), float(envelope.values_bytes[-2:].mean())
