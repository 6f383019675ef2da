"""What a detector did to all traces, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from memroll.backtest.runner import Result
    from memroll.backtest.trace import Trace


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was said of one trace, in seconds on its own clock."""

    trace: Trace
    acted_s: float | None
    suspected_s: float | None = None
    confirmed_s: float | None = None

    @property
    def lead_s(self) -> float | None:
        """How long before the kernel it acted; None unless it did."""
        oom_s = self.trace.oom_s
        if oom_s is None or self.acted_s is None or self.acted_s >= oom_s:
            return None
        return oom_s - self.acted_s

    @property
    def acted_before_onset(self) -> bool:
        onset_s = self.trace.onset_s
        return onset_s is not None and self.acted_s is not None and self.acted_s < onset_s

    @property
    def wasted_share(self) -> float | None:
        """Share of the life that acting so early gave away."""
        life_s = (self.trace.oom_s or 0.0) - self.trace.start_s
        return None if self.lead_s is None else self.lead_s / life_s


@dataclass(frozen=True, slots=True)
class Summary:
    traces: int
    pod_days: float
    suspected: int
    confirmed: int
    acted_on: int
    acted_per_1000_pod_days: float | None
    acted_before_onset: int
    """Acted on before the leak that people know of began."""
    ooms: int
    saved: int
    """Acted on before the kernel killed it."""
    saved_1h: int
    """Of these, an hour before it or more."""
    lead_median_s: float | None
    lead_least_s: float | None
    wasted_share_median: float | None
    confirmed_after_onset_median_s: float | None
    """From the onset that people know to the confirmation."""

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


HOUR_S = 3600.0


def summarise(alarms: Iterable[Alarm]) -> Summary:
    alarms = tuple(alarms)
    days = sum(a.trace.days for a in alarms)
    acted = sum(a.acted_s is not None for a in alarms)
    leads = [a.lead_s for a in alarms if a.lead_s is not None]
    return Summary(
        traces=len(alarms),
        pod_days=round(days, 3),
        suspected=sum(a.suspected_s is not None for a in alarms),
        confirmed=sum(a.confirmed_s is not None for a in alarms),
        acted_on=acted,
        acted_per_1000_pod_days=round(1000 * acted / days, 2) if days else None,
        acted_before_onset=sum(a.acted_before_onset for a in alarms),
        ooms=sum(a.trace.oom_s is not None for a in alarms),
        saved=len(leads),
        saved_1h=sum(lead >= HOUR_S for lead in leads),
        lead_median_s=_median(leads),
        lead_least_s=min(leads, default=None),
        wasted_share_median=_median(a.wasted_share for a in alarms if a.wasted_share is not None),
        confirmed_after_onset_median_s=_median(_delays_s(alarms)),
    )


def _median(numbers: Iterable[float]) -> float | None:
    known = tuple(numbers)
    return median(known) if known else None


def _delays_s(alarms: Iterable[Alarm]) -> Iterator[float]:
    for a in alarms:
        if a.confirmed_s is not None and a.trace.onset_s is not None and a.confirmed_s >= a.trace.onset_s:
            yield a.confirmed_s - a.trace.onset_s


def of_policy(results: Sequence[Result]) -> list[Alarm]:
    return [
        Alarm(r.trace, *(m.at_s if m else None for m in (r.found.acted, r.found.suspected, r.found.confirmed)))
        for r in results
    ]


def of_rule(name: str, results: Sequence[Result]) -> list[Alarm]:
    return [Alarm(r.trace, r.alarms_s[name]) for r in results]


def by_label(alarms: Sequence[Alarm]) -> dict[str, list[Alarm]]:
    """Return the alarms of each label that people gave, in the order in which these come."""
    found: dict[str, list[Alarm]] = {}
    for a in alarms:
        if a.trace.label:
            found.setdefault(a.trace.label, []).append(a)
    return found


def as_json(alarms: Sequence[Alarm], part: Callable[[Summary], dict[str, Any]] = Summary.as_json) -> dict[str, Any]:
    labels = {label: part(summarise(some)) for label, some in by_label(alarms).items()}
    return part(summarise(alarms)) | ({"labels": labels} if labels else {})
