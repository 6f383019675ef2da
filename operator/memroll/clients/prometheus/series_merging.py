"""Merge of several scrapers' series of one container instance. Pure; called where rows are built and joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.detection.series import EMPTY, Series

if TYPE_CHECKING:
    from collections.abc import Sequence


def merge_series(parts: Sequence[Series], *, minimum: bool = False) -> Series:
    """Merge the series of one instance; of several samples at one time, keep the maximum (or minimum)."""
    parts = [part for part in parts if len(part)]
    if len(parts) <= 1:
        return parts[0] if parts else EMPTY
    times = np.concatenate([p.times_s for p in parts])
    values = np.concatenate([p.values for p in parts])
    order = np.lexsort((-values if minimum else values, times))
    times, values = times[order], values[order]
    last_of_its_time = np.append(np.diff(times) > 0, [True])
    return Series(times[last_of_its_time], values[last_of_its_time])
