"""Figures of the benchmark's tables, computed from alerts and the traces' labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memroll.backtest.summary import Alert
    from tests.bench.detect.sets import Case

HOUR_S = 3600.0
SLOW_S = 8 * HOUR_S
"""Duration from which on a leak is slow."""
MIN_LIFETIME_S = 0.25 * HOUR_S
"""Minimum lifetime of a container that counts: no rule can save one that reaches its limit within 15 min."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Trace with the alert of one rule."""

    case: Case
    alert: Alert

    @property
    def lead_s(self) -> float:
        """Time between the roll and the container's end; -1 if it was not rolled."""
        return -1.0 if self.alert.lead_time_s is None else self.alert.lead_time_s


def per_1000_pod_days(some: Sequence[Scored]) -> float:
    """Return the number of harmless pods rolled per 1,000 pod-days."""
    harmless = [s for s in some if not s.case.leaks]
    days = sum(s.case.trace.days for s in harmless)
    return 1000 * sum(s.alert.rolled_s is not None for s in harmless) / days if days else np.nan


def oom_bound(some: Iterable[Scored]) -> list[Scored]:
    """Return the traces that a leak brings to their limit."""
    return [s for s in some if s.case.is_oom_bound and s.case.lifetime_s >= MIN_LIFETIME_S]


def saved_ratio(some: Sequence[Scored]) -> float:
    """Return the ratio of OOM-bound containers that were rolled before their limit."""
    return _mean(s.lead_s > 0 for s in oom_bound(some))


def hour_ahead_ratio(some: Sequence[Scored]) -> float:
    """Return the ratio of OOM-bound containers that run for over 8 h that were rolled an hour ahead or more."""
    return _mean(s.lead_s >= HOUR_S for s in oom_bound(some) if s.case.lifetime_s > SLOW_S)


def hour_ahead_of_slow_leaks_ratio(some: Sequence[Scored]) -> float:
    """Return the same ratio for leaks that took over 8 h, however long the container ran before."""
    return _mean(s.lead_s >= HOUR_S for s in oom_bound(some) if _leaked_s(s.case) > SLOW_S)


def _leaked_s(case: Case) -> float:
    return (case.trace.oom_s or 0.0) - max(case.trace.start_s, case.trace.onset_s or 0.0)


def wasted_ratio(some: Sequence[Scored]) -> float:
    return _median(s.alert.wasted_ratio for s in some if s.alert.wasted_ratio is not None and s.case.is_oom_bound)


def falsely_confirmed_ratio(some: Sequence[Scored]) -> float:
    return _mean(s.alert.confirmed_s is not None for s in some if not s.case.leaks)


def confirmed_early_ratio(some: Sequence[Scored]) -> float:
    """Return the ratio of leaking containers that were confirmed before they leaked."""
    leaks = [s for s in some if s.case.leaks and s.case.trace.onset_s is not None]
    return _mean(s.alert.confirmed_s is not None and s.alert.confirmed_s < (s.case.trace.onset_s or 0) for s in leaks)


def recall(some: Sequence[Scored]) -> float:
    return _mean(s.alert.confirmed_s is not None for s in some if s.case.leaks)


def delay_h(some: Sequence[Scored]) -> float:
    """Return the median hours from the onset to the confirmation."""
    known = [(s.alert.confirmed_s, s.case.trace.onset_s) for s in some if s.case.leaks]
    return _median((c - o) / HOUR_S for c, o in known if c is not None and o is not None and c >= o)


def suspicion_delay_h(some: Sequence[Scored]) -> float:
    """Return the median hours from the onset to the suspicion."""
    known = [(s.alert.suspected_s, s.case.trace.onset_s) for s in some if s.case.leaks]
    return _median((c - o) / HOUR_S for c, o in known if c is not None and o is not None and c >= o)


def _mean(values: Iterable[bool]) -> float:
    known = list(values)
    return float(np.mean(known)) if known else np.nan


def _median(values: Iterable[float]) -> float:
    known = list(values)
    return float(np.median(known)) if known else np.nan
