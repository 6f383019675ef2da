"""Histories that follow a curve over hours, a sample a minute, and the parameters of the default policy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from memroll.detection.container_history import ContainerHistory
from memroll.detection.parameters import DetectionParameters, LeadTimeRule
from memroll.detection.series import Series
from memroll.detection.window import TrendWindow
from tests.builders import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

HOUR_S = 3600.0
LIMIT_MIB = 1024
NOW_H = 40.0
NOW_S = NOW_H * HOUR_S
PARAMETERS = DetectionParameters(
    threshold_bytes_per_s=0.005 * LIMIT_MIB * MIB / HOUR_S,
    window_s=6 * HOUR_S,
    warm_up_s=0.5 * HOUR_S,
    for_s=0.5 * HOUR_S,
    lead_time=LeadTimeRule(None, 510.0),
    interval_s=300.0,
)


def parameters(**changes: Any) -> DetectionParameters:
    return replace(PARAMETERS, **changes)


def lived(
    curve: Callable[[Curve], Any],
    *,
    born_h: float = 0.0,
    until_h: float = NOW_H,
    noise_mib: float = 0.5,
    load: Callable[[Curve], Any] | None = None,
    seed: int = 1,
    **changes: Any,
) -> ContainerHistory:
    """Build a container: `curve` and `load` make MiB and cores of the hours on the common clock."""
    times = np.arange(born_h * HOUR_S, until_h * HOUR_S + 1, 60.0)
    noise = np.random.default_rng(seed).normal(0, noise_mib, times.size)
    memory = Series(times, (curve(times / HOUR_S) + noise) * MIB)
    work = Series(times, np.asarray(load(times / HOUR_S), dtype=float)) if load is not None else memory.until(-np.inf)
    return replace(ContainerHistory(memory, memory, born_h * HOUR_S, LIMIT_MIB * MIB, work), **changes)


def leak(mib_per_h: float, *, since_h: float = 0.0, base_mib: float = 200.0) -> Callable[[Curve], Curve]:
    return lambda h: np.asarray(base_mib + mib_per_h * np.clip(h - since_h, 0, None))


def flat(mib: float) -> Callable[[Curve], Curve]:
    return lambda h: np.asarray(mib + 0 * h)


def ramp(mib: float, start_h: float, over_h: float, base_mib: float = 200.0) -> Callable[[Curve], Curve]:
    return lambda h: np.asarray(base_mib + mib * np.clip((h - start_h) / over_h, 0, 1))


def trend_window(
    history: ContainerHistory, *peers: ContainerHistory, at_h: float = NOW_H, window_h: float = 6.0, **changes: Any
) -> TrendWindow:
    return TrendWindow(history, parameters(**changes), window_h * HOUR_S, at_h * HOUR_S, peers)
