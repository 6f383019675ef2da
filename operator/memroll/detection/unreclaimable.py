"""Unreclaimable memory: the part of the working set that the kernel can't take back before it kills a process.

Takes a container's history, returns the series that all distances to the limit are measured on. A working set contains
active page cache, which the kernel reclaims under pressure: a database may run at 96 % of its limit for weeks. Memory
volumes and kernel memory are not anonymous either, and can't be reclaimed. cAdvisor reports the page cache with
Kubernetes 1.32 and newer (`container_memory_total_active_file_bytes`); without that series, pressure shows it (design
note 0023).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters

PRESSURE_RATIO = 0.9
"""Minimum ratio of the working set to the limit for the kernel to be under pressure. Chosen by hand."""
MAX_BELOW_TOP_LIMIT_RATIO = 0.03
"""Maximum distance of the working set below its highest value under pressure, as a ratio of the limit. Chosen by
hand."""
MIN_PRESSURED_SAMPLES = 6
"""Minimum number of samples under pressure that show whether memory gives way. Chosen by hand."""
MIN_RSS_RANGE_LIMIT_RATIO = 0.005
"""Minimum ratio of the RSS' range under pressure to the limit: less is noise. Chosen by hand."""
GIVES_WAY_SLOPE = -0.5
"""Maximum change of the memory above the RSS with a byte of RSS for that memory to give way: -1 if all of it does, 0 if
none does. Chosen by hand."""
MAX_RESIDUAL_LIMIT_RATIO = 0.05
"""Ratio of the limit that is assumed to remain of memory that gives way: kernel memory, page tables. Chosen by hand."""


def with_unreclaimable(history: ContainerHistory, parameters: DetectionParameters) -> ContainerHistory:
    """Return the history with its unreclaimable memory."""
    return replace(history, unreclaimable=unreclaimable_memory(history, parameters))


def unreclaimable_memory(history: ContainerHistory, parameters: DetectionParameters) -> Series:
    """Return the unreclaimable memory at the times of the working set. Bytes; never less than the RSS."""
    working_set = history.working_set
    if not len(working_set) or not len(history.rss):
        return working_set
    pressure = PRESSURE_RATIO * (history.limit_bytes or math.inf)
    if not len(history.active_file) and float(working_set.values.max()) < pressure:
        return working_set
    rss = history.rss.at(working_set.times_s)
    if len(history.active_file):
        cache = history.active_file.at(working_set.times_s)
        known = np.maximum(working_set.values - np.nan_to_num(cache), np.nan_to_num(rss))
        return Series(working_set.times_s, np.minimum(known, working_set.values))
    other = working_set.values - rss
    residual = _residual_bytes(history, parameters, rss, other)
    if residual is None:
        return working_set
    counted = np.minimum(other, residual)
    return Series(working_set.times_s, np.where(np.isfinite(counted), rss + counted, working_set.values))


def _residual_bytes(
    history: ContainerHistory,
    parameters: DetectionParameters,
    rss: NDArray[np.float64],
    other: NDArray[np.float64],
) -> float | None:
    """Return what remains of the memory above the RSS, in bytes; None if it does not give way.

    The newest pressure decides: memory that gave way may have come to an end.
    """
    limit, working_set = history.limit_bytes, history.working_set
    if not limit:
        return None
    top = float(working_set.values.max())  # below it, page cache may still fill up
    pressure = max(PRESSURE_RATIO * limit, top - MAX_BELOW_TOP_LIMIT_RATIO * limit)
    pressured = (working_set.values >= pressure) & np.isfinite(other)
    recent = pressured & (working_set.times_s > working_set.last_s - parameters.window_s)
    for part in (recent, pressured):
        slope = _change_with_rss(rss[part], other[part], MIN_RSS_RANGE_LIMIT_RATIO * limit)
        if slope is not None:
            least = min(float(other[part].min()), MAX_RESIDUAL_LIMIT_RATIO * limit)
            return max(least, 0.0) if slope <= GIVES_WAY_SLOPE else None
    return None


def _change_with_rss(rss: NDArray[np.float64], other: NDArray[np.float64], min_range: float) -> float | None:
    """Return the least-squares slope of the memory above the RSS on the RSS; None if the RSS hardly changes."""
    if rss.size < MIN_PRESSURED_SAMPLES or float(np.ptp(rss)) < min_range:
        return None
    centred = rss - rss.mean()
    return float(centred @ other) / float(centred @ centred)
