"""Summarise a detector's alerts over all traces in a few numbers: OOM kills prevented, false alerts, lead times."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from memroll.backtest.baselines.rules import can_assess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from memroll.backtest.runner import BacktestResult
    from memroll.backtest.trace import Trace


@dataclass(frozen=True, slots=True)
class Alert:
    """First times at which a detector suspected, reported, confirmed and rolled one trace, on the trace's clock."""

    trace: Trace
    rolled_s: float | None
    suspected_s: float | None = None
    confirmed_s: float | None = None
    assessed: bool = True
    """False if the detector never had the data to assess the trace."""
    reported_s: float | None = None

    @property
    def lead_time_s(self) -> float | None:
        """Seconds from the roll to the OOM kill; None unless the roll came first."""
        oom_s = self.trace.oom_s
        if oom_s is None or self.rolled_s is None or self.rolled_s >= oom_s:
            return None
        return oom_s - self.rolled_s

    @property
    def rolled_before_onset(self) -> bool:
        onset_s = self.trace.onset_s
        return onset_s is not None and self.rolled_s is not None and self.rolled_s < onset_s

    @property
    def wasted_ratio(self) -> float | None:
        """Ratio of the lead time to the container's lifetime: the part of it that rolling early gave up."""
        lifetime_s = (self.trace.oom_s or 0.0) - self.trace.start_s
        return None if self.lead_time_s is None else self.lead_time_s / lifetime_s


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one detector over some traces; the field names are the keys of the JSON output."""

    traces: int
    not_assessed: int
    """Number of traces that the detector never had the data to assess."""
    pod_days: float
    """Pod-days of the other traces: those that were not assessed are not known healthy."""
    suspected: int
    confirmed: int
    rolled: int
    rolled_per_1000_pod_days: float | None
    rolled_before_onset: int
    """Number of traces rolled before the known onset of their leak."""
    ooms: int
    saved: int
    """Number of traces rolled before their OOM kill."""
    saved_1h: int
    """Number of traces rolled an hour or more before their OOM kill."""
    lead_time_median_s: float | None
    lead_time_min_s: float | None
    wasted_ratio_median: float | None
    confirmed_after_onset_median_s: float | None
    """Median seconds from the known onset to the confirmation."""

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


HOUR_S = 3600.0
"""Duration of an hour, in seconds."""


def summarise(alerts: Iterable[Alert]) -> Summary:
    alerts = tuple(alerts)
    days = sum(a.trace.days for a in alerts if a.assessed)
    rolled = sum(a.rolled_s is not None for a in alerts)
    lead_times_s = [a.lead_time_s for a in alerts if a.lead_time_s is not None]
    return Summary(
        traces=len(alerts),
        not_assessed=sum(not a.assessed for a in alerts),
        pod_days=round(days, 3),
        suspected=sum(a.suspected_s is not None for a in alerts),
        confirmed=sum(a.confirmed_s is not None for a in alerts),
        rolled=rolled,
        rolled_per_1000_pod_days=round(1000 * rolled / days, 2) if days else None,
        rolled_before_onset=sum(a.rolled_before_onset for a in alerts),
        ooms=sum(a.trace.oom_s is not None for a in alerts),
        saved=len(lead_times_s),
        saved_1h=sum(lead_time_s >= HOUR_S for lead_time_s in lead_times_s),
        lead_time_median_s=_median(lead_times_s),
        lead_time_min_s=min(lead_times_s, default=None),
        wasted_ratio_median=_median(a.wasted_ratio for a in alerts if a.wasted_ratio is not None),
        confirmed_after_onset_median_s=_median(_delays_s(alerts)),
    )


def _median(numbers: Iterable[float]) -> float | None:
    known = tuple(numbers)
    return median(known) if known else None


def _delays_s(alerts: Iterable[Alert]) -> Iterator[float]:
    for a in alerts:
        if a.confirmed_s is not None and a.trace.onset_s is not None and a.confirmed_s >= a.trace.onset_s:
            yield a.confirmed_s - a.trace.onset_s


def policy_alerts(results: Sequence[BacktestResult]) -> list[Alert]:
    return [_policy_alert(r) for r in results]


def _policy_alert(result: BacktestResult) -> Alert:
    found = result.replay
    firsts = (found.rolled, found.suspected, found.confirmed, found.reported)
    rolled, suspected, confirmed, reported = (e.at_s if e else None for e in firsts)
    return Alert(result.trace, rolled, suspected, confirmed, found.assessed, reported)


def baseline_alerts(name: str, results: Sequence[BacktestResult]) -> list[Alert]:
    return [Alert(r.trace, r.first_alerts_s[name], assessed=can_assess(r.trace)) for r in results]


def group_by_label(alerts: Sequence[Alert]) -> dict[str, list[Alert]]:
    """Return the alerts by label, in the order of the labels' first occurrence; traces without a label are left out."""
    groups: dict[str, list[Alert]] = {}
    for a in alerts:
        if a.trace.label:
            groups.setdefault(a.trace.label, []).append(a)
    return groups


def to_dict(alerts: Sequence[Alert], part: Callable[[Summary], dict[str, Any]] = Summary.to_dict) -> dict[str, Any]:
    labels = {label: part(summarise(some)) for label, some in group_by_label(alerts).items()}
    return part(summarise(alerts)) | ({"labels": labels} if labels else {})
