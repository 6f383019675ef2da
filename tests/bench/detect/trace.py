"""Labelled trace of one container."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

LIMIT_BYTES = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Trace of one container: `t_s`, `rss` and `working_set` have the same shape (n,), the others too, or are empty."""

    name: str
    workload: str
    kind: str
    leaks: bool
    t_s: Curve
    rss: Curve
    working_set: Curve
    load: Curve
    limit_bytes: int = LIMIT_BYTES
    onset_s: float | None = None
    oom_s: float | None = None
    start_s: float | None = None
    """Start of the container; None: the first sample."""
    active_file: Curve = field(default_factory=lambda: np.empty(0))
    """Active page cache in bytes. Empty if the detector does not get it."""
    unreclaimable: Curve = field(default_factory=lambda: np.empty(0))
    """Memory in bytes that the kernel can't reclaim: the truth, which the detector does not get. Empty: the RSS."""
