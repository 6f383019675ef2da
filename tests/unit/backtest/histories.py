"""Small histories for the tests, as a user would write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest.trace import Trace
from memroll.detection.container_history import ContainerHistory
from memroll.detection.parameters import DetectionParameters
from memroll.detection.series import Series

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
LIMIT = 1024 * MIB
HOUR = 3600.0
MINUTE = 60.0
RULE = DetectionParameters(
    threshold_bytes_per_s=5 * MIB / HOUR, window_s=6 * HOUR, warm_up_s=1800.0, for_s=1800.0, interval_s=300.0
)


def line(hours, start_mib=200.0, per_hour_mib=0.0, from_hour=0.0):
    """Return one sample a minute: flat, then a line, with a little noise, cut at the limit."""
    times = np.arange(0, hours * HOUR + 1, MINUTE)
    noise = np.random.default_rng(1).normal(0, 0.5, times.size)
    growth = per_hour_mib * np.clip(times / HOUR - from_hour, 0, None)
    values = np.minimum((start_mib + growth + noise) * MIB, LIMIT)
    met = np.flatnonzero(values >= LIMIT)
    end = met[0] + 1 if met.size else times.size
    return times[:end], np.round(values[:end])


def trace(times, values, limit=LIMIT, **known):
    series = Series(np.asarray(times, dtype=float), np.asarray(values, dtype=float))
    return Trace(known.pop("name", "t"), ContainerHistory(series, series, series.first_s, limit), **known)


def folder(path: Path, manifest: str, **files: str) -> Path:
    (path / "MANIFEST.csv").write_text(manifest)
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text)
    return path


def csv_of(times, values):
    return "t_s,bytes\n" + "".join(f"{t:.0f},{v:.0f}\n" for t, v in zip(times, values, strict=True))


def three(path: Path) -> Path:
    """Write three traces: a leak that reaches its limit, a flat one, and one without a limit."""
    return folder(
        path,
        f"name,limit_bytes,label,onset_s,source\nleak,{LIMIT},leak,108000,x\nflat,{LIMIT},no-leak,,x\nfree,,no-leak,,x\n",
        leak=csv_of(*line(60, per_hour_mib=40, from_hour=30)),
        flat=csv_of(*line(12)),
        free=csv_of(*line(12, per_hour_mib=2)),
    )
