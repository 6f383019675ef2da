"""Four days of a small shop, generated: two leaks, and services that a simple rule takes for leaks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest.trace import Trace
from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIB = 2**20
HOUR_S = 3600.0
START_S = datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Service:
    """Container with its memory in MiB, by the hour of its life."""

    name: str
    workload: str
    label: str
    limit_mib: int | None
    base_mib: float
    hours: float = 96.0
    daily_mib: float = 0.0
    """Height of a daily pattern."""
    leak_mib: float = 0.0
    """Growth per hour once the leak has begun."""
    leak_from_h: float = 0.0
    step_mib: float = 0.0
    """Rise within three hours, in the middle of the second day."""
    garbage_mib: float = 0.0
    """Height of the garbage that is collected every 50 minutes."""

    def trace(self, seed: int) -> Trace:
        hours = np.arange(0, self.hours + 1e-9, 1 / 60)
        grown = self._anonymous(hours) + np.random.default_rng(seed).normal(0, 1.5, hours.size)
        cache = 12 + 6 * np.sin(hours / 3)
        limit = np.inf if self.limit_mib is None else self.limit_mib
        end = int(np.argmax(grown + cache >= limit)) + 1 if np.any(grown + cache >= limit) else hours.size
        times = START_S + hours[:end] * HOUR_S
        used = np.minimum(grown + cache, limit)
        history = ContainerHistory(
            Series(times, np.round(grown[:end] * MIB)),
            Series(times, np.round(used[:end] * MIB)),
            START_S,
            None if self.limit_mib is None else self.limit_mib * MIB,
        )
        oom_s = float(times[-1]) if end < hours.size else None
        onset_s = START_S + self.leak_from_h * HOUR_S if self.leak_mib else None
        return Trace(self.name, history, self.workload, self.label, onset_s, oom_s, 60.0)

    def _anonymous(self, hours: NDArray[np.float64]) -> NDArray[np.float64]:
        day = np.clip(np.sin(2 * np.pi * (hours - 2) / 24), 0, None)
        step = 1 / (1 + np.exp(-(hours - 40) * 2))
        start = 60 * np.exp(-hours / 0.3)
        garbage = self.garbage_mib * (hours * 1.2 % 1)
        leaked = self.leak_mib * np.clip(hours - self.leak_from_h, 0, None)
        return self.base_mib - start + self.daily_mib * day + self.step_mib * step + garbage + leaked


SHOP = (
    Service("checkout-5c9d8b7f4-x7k2p", "checkout", "leak", 1024, 240, 96, 30, 44, 31, garbage_mib=70),
    Service("recommend-7d4b9c5f6-q2w8n", "recommend", "leak", 2048, 520, 96, 60, 18.5, 4, garbage_mib=110),
    Service("invoice-66f5d9c7b-8hj4m", "invoice", "leak", 4096, 600, leak_mib=21.5, leak_from_h=1),
    Service("cart-6b8f9d7c5-33kxp", "cart", "no-leak", 512, 250, daily_mib=175),
    Service("cart-6b8f9d7c5-tz9vq", "cart", "no-leak", 512, 245, daily_mib=170),
    Service("search-6f4b8d9c7-bq8vz", "search", "no-leak", 1024, 380, daily_mib=40, step_mib=330),
    Service("search-6f4b8d9c7-n5gtr", "search", "no-leak", 1024, 372, daily_mib=42),
    Service("mail-58c7f6b9d-4lw2s", "mail", "no-leak", 256, 120),
    Service("frontend-7c5d8f9b6-c0x1t", "frontend", "no-leak", None, 160),
    Service("coupons-5f8b7d6c9-jm7pd", "coupons", "no-leak", 512, 90, hours=0.5),
)
"""Containers of the shop."""


def shop() -> tuple[Trace, ...]:
    return tuple(service.trace(seed) for seed, service in enumerate(SHOP))
