"""Outcome of the detector on one case, without its samples, and the figures of a table's row over some outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.detect.sets import HOUR_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from memroll.backtest.replay import Evaluation
    from memroll.backtest.runner import BacktestResult
    from tests.bench.detect.sets import Case

MIN_LIFETIME_S = 900.0
"""Minimum lifetime of a container that counts: no rule can save one that reaches its limit within 15 min."""
SLOW_S = 8 * HOUR_S
"""Duration from which on a leak is slow."""
LATE_UNRECLAIMABLE = 0.75
"""Ratio of unreclaimable memory to the limit above which a roll is no waste."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Events in the life of one container, in seconds on its clock; None for what did not happen."""

    set: str
    kind: str
    leaks: bool
    start_s: float
    end_s: float
    onset_s: float | None
    oom_s: float | None
    ahead_s: float
    reported_s: float | None
    confirmed_s: float | None
    rolled_s: float | None
    unreclaimable_at_roll: float | None
    """Ratio of unreclaimable memory to the limit."""
    assessed: bool

    @property
    def days(self) -> float:
        return (self.end_s - self.start_s) / 86_400

    @property
    def lead_s(self) -> float:
        """Time from the roll to the OOM kill; minus infinity if it was not rolled before."""
        return -np.inf if self.oom_s is None or self.rolled_s is None else self.oom_s - self.rolled_s

    @property
    def is_oom_bound(self) -> bool:
        return self.leaks and self.oom_s is not None and self.oom_s - self.start_s >= MIN_LIFETIME_S

    @property
    def leaked_s(self) -> float:
        return (self.oom_s or 0.0) - max(self.start_s, self.onset_s or self.start_s)


def outcome_of(case: Case, result: BacktestResult) -> Outcome:
    trace, found = case.trace, result.replay
    rolled_s, unreclaimable = _at(found.rolled), None
    if rolled_s is not None and trace.history.limit_bytes:
        truth = (case.unreclaimable if len(case.unreclaimable) else trace.history.rss).until(rolled_s)
        unreclaimable = float(truth.values[-1]) / trace.history.limit_bytes
    return Outcome(
        set=case.set,
        kind=case.kind,
        leaks=case.leaks,
        start_s=trace.start_s,
        end_s=trace.end_s,
        onset_s=trace.onset_s,
        oom_s=trace.oom_s,
        ahead_s=case.ahead_s,
        reported_s=_at(found.reported),
        confirmed_s=_at(found.confirmed),
        rolled_s=rolled_s,
        unreclaimable_at_roll=unreclaimable,
        assessed=found.assessed,
    )


def _at(evaluation: Evaluation | None) -> float | None:
    return None if evaluation is None else evaluation.at_s


def harmless_days(some: Sequence[Outcome]) -> float:
    return sum(o.days for o in some if not o.leaks) or np.nan


def leaks(some: Sequence[Outcome]) -> float:
    """Return the number of containers that a leak brings to their limit."""
    return sum(o.is_oom_bound for o in some) or np.nan


def rolled_per_1000(some: Sequence[Outcome]) -> float:
    """Return the number of harmless pods rolled per 1,000 pod-days."""
    return 1000 * sum(o.rolled_s is not None and not o.leaks for o in some) / harmless_days(some)


def reported_per_1000(some: Sequence[Outcome]) -> float:
    """Return the number of harmless pods reported per 1,000 pod-days."""
    return 1000 * sum(o.reported_s is not None and not o.leaks for o in some) / harmless_days(some)


def falsely_confirmed(some: Sequence[Outcome]) -> float:
    return _mean(o.confirmed_s is not None for o in some if not o.leaks)


def saved(some: Sequence[Outcome]) -> float:
    """Return the ratio of OOM-bound containers that were rolled before their OOM kill."""
    return _mean(o.lead_s > 0 for o in some if o.is_oom_bound)


def hour_ahead(some: Sequence[Outcome]) -> float:
    """Return the ratio of leaks of over 8 h that were rolled an hour ahead or more."""
    return _mean(o.lead_s >= HOUR_S for o in some if o.is_oom_bound and o.leaked_s > SLOW_S)


def reported_ahead(some: Sequence[Outcome]) -> float:
    """Return the ratio of OOM-bound containers that were reported as early as their set requires."""
    bound = [o for o in some if o.is_oom_bound]
    return _mean(o.reported_s is not None and (o.oom_s or 0) - o.reported_s >= o.ahead_s for o in bound)


def before_onset(some: Sequence[Outcome]) -> float:
    """Return the ratio of leaking containers that were rolled before they leaked."""
    return _mean(o.rolled_s is not None and o.rolled_s < (o.onset_s or o.start_s) for o in some if o.leaks)


def wasted(some: Sequence[Outcome], quantile: float = 0.5) -> float:
    """Return a quantile of the ratio of the life that rolling early gave up."""
    ratios = [o.lead_s / (o.oom_s - o.start_s) for o in some if o.oom_s and o.is_oom_bound and o.lead_s > 0]
    return float(np.quantile(ratios, quantile)) if ratios else np.nan


def wasted_p95(some: Sequence[Outcome]) -> float:
    return wasted(some, 0.95)


def unreclaimable(some: Sequence[Outcome]) -> float:
    """Return the median ratio of unreclaimable memory to the limit at the rolls of leaks."""
    known = [o.unreclaimable_at_roll for o in some if o.unreclaimable_at_roll is not None and o.is_oom_bound]
    return float(np.median(known)) if known else np.nan


def rolled_late(some: Sequence[Outcome]) -> float:
    """Return the ratio of rolls of leaks that were above 75 % of unreclaimable memory."""
    return _mean(
        o.unreclaimable_at_roll > LATE_UNRECLAIMABLE
        for o in some
        if o.unreclaimable_at_roll is not None and o.is_oom_bound
    )


def not_assessed(some: Sequence[Outcome]) -> float:
    """Return the ratio of containers that were `Inconclusive` throughout."""
    return _mean(not o.assessed for o in some)


def _mean(values: Iterable[bool]) -> float:
    known = list(values)
    return float(np.mean(known)) if known else np.nan


FIGURES: tuple[tuple[str, Callable[[Sequence[Outcome]], float], str], ...] = (
    ("pod-days", harmless_days, ".0f"),
    ("rolled/1000", rolled_per_1000, ".1f"),
    ("reported/1000", reported_per_1000, ".1f"),
    ("leaks", leaks, ".0f"),
    ("saved", saved, ".3f"),
    ("reported in time", reported_ahead, ".3f"),
    ("1 h, slow leak", hour_ahead, ".2f"),
    ("before onset", before_onset, ".2f"),
    ("wasted", wasted, ".3f"),
    ("wasted p95", wasted_p95, ".2f"),
    ("unreclaimable", unreclaimable, ".2f"),
    ("above 75 %", rolled_late, ".2f"),
    ("not assessed", not_assessed, ".2f"),
)
"""Title, figure and format of each column. The first three and the last count harmless containers."""
