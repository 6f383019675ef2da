"""From what was said and done to the figures of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from memroll.backtest.summary import Alarm
    from tests.bench.detect.sets import Case

HOUR_S = 3600.0
SLOW_S = 8 * HOUR_S
BORN_DEAD_S = 0.25 * HOUR_S
"""A container that meets its limit within a quarter of an hour is nobody's to save."""


@dataclass(frozen=True, slots=True)
class Scored:
    case: Case
    alarm: Alarm

    @property
    def lead_s(self) -> float:
        """How long before its end it was acted on; -1 when it was not."""
        return -1.0 if self.alarm.lead_s is None else self.alarm.lead_s


def per_1000_pod_days(some: Sequence[Scored]) -> float:
    innocent = [s for s in some if not s.case.leaks]
    days = sum(s.case.trace.days for s in innocent)
    return 1000 * sum(s.alarm.acted_s is not None for s in innocent) / days if days else np.nan


def doomed(some: Iterable[Scored]) -> list[Scored]:
    return [s for s in some if s.case.doomed and s.case.life_s >= BORN_DEAD_S]


def saved_share(some: Sequence[Scored]) -> float:
    return _mean(s.lead_s > 0 for s in doomed(some))


def hour_ahead_share(some: Sequence[Scored]) -> float:
    """Of the doomed that live for over 8 h, the share that was acted on an hour ahead or more."""
    return _mean(s.lead_s >= HOUR_S for s in doomed(some) if s.case.life_s > SLOW_S)


def hour_ahead_of_slow_leaks_share(some: Sequence[Scored]) -> float:
    """The same of those whose leak took over 8 h, however long they lived before it."""
    return _mean(s.lead_s >= HOUR_S for s in doomed(some) if _leaked_s(s.case) > SLOW_S)


def _leaked_s(case: Case) -> float:
    return (case.trace.oom_s or 0.0) - max(case.trace.start_s, case.trace.onset_s or 0.0)


def wasted_share(some: Sequence[Scored]) -> float:
    return _median(s.alarm.wasted_share for s in some if s.alarm.wasted_share is not None and s.case.doomed)


def falsely_confirmed_share(some: Sequence[Scored]) -> float:
    return _mean(s.alarm.confirmed_s is not None for s in some if not s.case.leaks)


def confirmed_early_share(some: Sequence[Scored]) -> float:
    """Share of leaking containers that were called leaking before they leaked."""
    leaks = [s for s in some if s.case.leaks and s.case.trace.onset_s is not None]
    return _mean(s.alarm.confirmed_s is not None and s.alarm.confirmed_s < (s.case.trace.onset_s or 0) for s in leaks)


def recall_share(some: Sequence[Scored]) -> float:
    return _mean(s.alarm.confirmed_s is not None for s in some if s.case.leaks)


def delay_h(some: Sequence[Scored]) -> float:
    """Median hours from the onset to the confirmation."""
    known = [(s.alarm.confirmed_s, s.case.trace.onset_s) for s in some if s.case.leaks]
    return _median((c - o) / HOUR_S for c, o in known if c is not None and o is not None and c >= o)


def suspicion_delay_h(some: Sequence[Scored]) -> float:
    known = [(s.alarm.suspected_s, s.case.trace.onset_s) for s in some if s.case.leaks]
    return _median((c - o) / HOUR_S for c, o in known if c is not None and o is not None and c >= o)


def _mean(values: Iterable[bool]) -> float:
    known = list(values)
    return float(np.mean(known)) if known else np.nan


def _median(values: Iterable[float]) -> float:
    known = list(values)
    return float(np.median(known)) if known else np.nan


Figure = "Callable[[Sequence[Scored]], float]"


def column(figure: Callable[[Sequence[Scored]], float], some: Sequence[Scored], form: str) -> str:
    value = figure(some)
    return "-" if np.isnan(value) else format(value, form)
