"""Labelled trace of one container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

LIMIT_BYTES = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Trace of one container: `t_s`, `rss`, `working_set` and `load` have the same shape (n,)."""

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
