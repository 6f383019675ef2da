"""Verdict of one container: from its samples to `ContainerVerdict`, with the numbers that explain it.

Called by `assess` for each candidate of the prefilter, and by the backtest for each instant of a trace. There are two
questions: does the container leak (reported as soon as it is known), and must it be rolled now (only in the last part
before the limit, `exhaustion`)? Persistence is computed from the samples (the same checks half of `growth.for` and all
of it ago) and not remembered: a restarted operator loses nothing, and the backtest runs the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from memroll.detection import other_memory, repeated_rises, stopped_growth
from memroll.detection.exhaustion import MIN_USAGE_RATIO_LONG_LEAD, Urgency, check_exhaustion
from memroll.detection.growth_phase import measure_growth_phase
from memroll.detection.lead_time import lead_time_s
from memroll.detection.leak_checks import WindowResult, check_persistence
from memroll.detection.peers import recent_peers
from memroll.detection.process_restarts import process_lifetimes
from memroll.detection.reasons import VerdictReason
from memroll.detection.slow_growth import time_to_limit_at_daily_peaks_s
from memroll.detection.time_to_limit import time_to_limit_s
from memroll.detection.unreclaimable import with_unreclaimable
from memroll.detection.window import MAX_USABLE_LIMIT_RATIO, MIN_COVERED_RATIO, TrendWindow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.detection.trend import Trend

MAX_SAMPLE_AGE_WINDOWS = 0.25
"""Maximum age of the newest sample, in windows. Chosen by hand."""
MAX_SAMPLE_AGE_SPACINGS = 6.0
"""Maximum age of the newest sample, in sample spacings, if that is less. Chosen by hand."""


class Verdict(StrEnum):
    """Verdict of a container."""

    HEALTHY = "Healthy"
    """No check finds a leak."""
    SUSPECTED = "Suspected"
    """The shape is that of a leak; its past or its peers may explain it, or it has not lasted yet."""
    LEAKING = "Leaking"
    """Confirmed leak."""
    EXHAUSTING = "Exhausting"
    """The container reaches its limit within the lead time, without being a confirmed leak."""
    INCONCLUSIVE = "Inconclusive"
    """The data do not allow an assessment. Never a reason to roll a pod, except above `usageThreshold`."""


@dataclass(frozen=True, slots=True)
class ContainerVerdict:
    """Verdict of one container, with the numbers that explain it.

    A container above `usageThreshold` keeps the verdict of its trend and is due for the reason `AboveThreshold`.
    """

    verdict: Verdict
    reason: VerdictReason
    message: str
    usage_bytes: float | None = None
    """Newest working set; None without samples."""
    trend: Trend | None = None
    time_to_limit_s: float | None = None
    """Time to the limit; None if the container is not at risk, or has no limit."""
    lead_time_s: float | None = None
    """Time before the limit at which the pod is rolled; None if that is not known."""
    due: bool = False
    """True if the pod must be rolled now."""

    @property
    def is_above_threshold(self) -> bool:
        """True if the container is due because of its usage alone."""
        return self.reason is VerdictReason.ABOVE_THRESHOLD

    @property
    def is_confirmed_leak(self) -> bool:
        """True for a confirmed leak, unless the usage alone makes the container due."""
        return self.verdict is Verdict.LEAKING and not self.is_above_threshold

    @property
    def is_at_risk(self) -> bool:
        """True if the pod must be rolled, now or before its limit."""
        return self.verdict in (Verdict.LEAKING, Verdict.EXHAUSTING) or self.is_above_threshold

    @property
    def is_suspected(self) -> bool:
        """True for a suspected leak that is not at risk yet."""
        return self.verdict is Verdict.SUSPECTED and not self.is_above_threshold

    @property
    def is_healthy(self) -> bool:
        """True if nothing at all was found."""
        return self.verdict is Verdict.HEALTHY and not self.is_above_threshold

    @property
    def is_inconclusive(self) -> bool:
        """True if the container could not be assessed, and its usage is not above the threshold."""
        return self.verdict is Verdict.INCONCLUSIVE and not self.is_above_threshold

    @property
    def remaining_s(self) -> float:
        """Time to the limit, in seconds; infinity if the container is not at risk, or has no limit."""
        return float("inf") if self.time_to_limit_s is None else self.time_to_limit_s


def verdict_for(
    history: ContainerHistory,
    parameters: DetectionParameters,
    now_s: float,
    peers: Sequence[ContainerHistory] = (),
) -> ContainerVerdict:
    """Return the verdict of one container instance at `now_s`, from samples up to then: later ones are clock skew.

    `peers`: the other instances of the same container of the same workload, running ones and earlier ones.
    """
    history = history.as_of(now_s, parameters.lookback_s)
    not_assessable = _not_assessable(history, parameters, now_s)
    if not_assessable is not None:
        return not_assessable
    history = with_unreclaimable(history, parameters)
    *earlier, current = process_lifetimes(history, parameters)
    others = (*recent_peers(peers, parameters, now_s), *earlier)
    usage = float(history.usage.values[-1])
    found = _unless_repeated(_from_trend(current, parameters, now_s, others, usage), history, parameters, now_s)
    if not (found.is_at_risk or found.is_inconclusive):
        found = _from_other_memory(current, parameters, now_s, found)
    if not is_above_threshold(history, parameters, now_s):
        return found
    message = f"above {parameters.usage_threshold:.0%} of the limit for {parameters.for_s:.0f} s"
    reason = VerdictReason.ABOVE_THRESHOLD
    return ContainerVerdict(found.verdict, reason, message, usage, time_to_limit_s=0.0, due=True)


def is_final_alone(verdict: ContainerVerdict) -> bool:
    """Return whether a verdict of `verdict_for` without peers, load and page cache is also that with all of them.

    These can explain growth, but never add any: a container that does not grow without them does not grow with them.
    """
    return verdict.is_healthy or verdict.is_inconclusive


def was_near_limit(history: ContainerHistory) -> bool:
    """Return whether a container was so near its limit that its page cache counts (`with_unreclaimable`)."""
    if history.limit_bytes is None or not len(history.working_set):
        return False
    return bool(history.working_set.values.max() >= MIN_USAGE_RATIO_LONG_LEAD * history.limit_bytes)


def _from_trend(
    current: ContainerHistory,
    parameters: DetectionParameters,
    now_s: float,
    peers: tuple[ContainerHistory, ...],
    usage: float,
) -> ContainerVerdict:
    """Return the verdict of a process lifetime, whatever the policy's usage threshold."""
    urgency = _urgency(current, parameters, now_s, peers)
    latest, persistent = check_persistence(current, parameters, now_s, peers)
    if latest is not None and latest.is_leak and persistent:
        if urgency.due or not latest.window.is_short:
            return _leaking(latest, urgency, usage)
        latest = replace(latest, message="grows like a leak in a short window only: reported as one when it is due")
    if urgency.due:
        left_s, lead_s = urgency.time_to_limit_s, urgency.lead_time_s
        reason, message = VerdictReason.EXHAUSTING, "grows up to its limit"
        return ContainerVerdict(Verdict.EXHAUSTING, reason, message, usage, urgency.trend, left_s, lead_s, due=True)
    if latest is None:
        return _no_window(current, parameters, now_s, usage)
    return _not_leaking(latest, usage)


def _unless_repeated(
    found: ContainerVerdict, history: ContainerHistory, parameters: DetectionParameters, now_s: float
) -> ContainerVerdict:
    """Return a verdict that is not at risk if the container has risen as high before, and fallen back."""
    message = repeated_rises.explain(history, parameters, now_s, found.trend, due=found.due) if found.is_at_risk else ""
    if not message:
        return found
    reason = VerdictReason.REPEATED_RISES
    return ContainerVerdict(Verdict.SUSPECTED, reason, message, found.usage_bytes, found.trend)


def _from_other_memory(
    current: ContainerHistory, parameters: DetectionParameters, now_s: float, found: ContainerVerdict
) -> ContainerVerdict:
    """Return the verdict of a container whose RSS reaches no limit, with the memory outside of the RSS considered."""
    other = other_memory.other_memory_history(current)
    growth = other_memory.check_growth(other, parameters, now_s)
    if growth is None:
        if not found.is_healthy:
            return found
        if not other_memory.rises_near_limit(current, parameters, now_s):
            stopped = stopped_growth.describe(current, parameters, now_s)
            reason = VerdictReason.STOPPED_BELOW_LIMIT
            return replace(found, verdict=Verdict.SUSPECTED, reason=reason, message=stopped) if stopped else found
        text = f"above {MAX_USABLE_LIMIT_RATIO:.0%} of the limit, and rises: {found.message}"
        return replace(found, verdict=Verdict.SUSPECTED, reason=VerdictReason.SUSPECTED, message=text)
    message, usage = other_memory.describe(other, growth), float(other.usage.values[-1])
    reason, left_s, lead_s = VerdictReason.OTHER_MEMORY, growth.time_to_limit_s, growth.lead_time_s
    if not (parameters.roll_other_memory and growth.due and len(current.active_file)):
        return ContainerVerdict(Verdict.SUSPECTED, reason, message, usage, growth.trend, left_s)
    return ContainerVerdict(Verdict.EXHAUSTING, reason, message, usage, growth.trend, left_s, lead_s, due=True)


def _inconclusive(reason: VerdictReason, message: str, usage_bytes: float | None = None) -> ContainerVerdict:
    return ContainerVerdict(Verdict.INCONCLUSIVE, reason, message, usage_bytes)


def _not_assessable(
    history: ContainerHistory, parameters: DetectionParameters, now_s: float
) -> ContainerVerdict | None:
    """Return the verdict of a container that can't be assessed now, or None."""
    if not len(history.working_set):
        metric = "container_memory_working_set_bytes" if len(history.rss) else "samples"
        return _inconclusive(VerdictReason.NO_DATA, f"Prometheus has no {metric} of this container")
    if not len(history.rss):
        return no_rss(float(history.working_set.values[-1]))
    age_s = now_s - min(history.rss.last_s, history.working_set.last_s)
    if age_s > min(MAX_SAMPLE_AGE_WINDOWS * parameters.window_s, MAX_SAMPLE_AGE_SPACINGS * history.rss.spacing_s):
        return _inconclusive(VerdictReason.STALE_DATA, f"the newest sample is {age_s:.0f} s old")
    if parameters.threshold_bytes_per_s is None:
        message = "no memory limit: set one, or give growth.perHour as a quantity such as 20Mi"
        return _inconclusive(VerdictReason.NO_MEMORY_LIMIT, message, float(history.working_set.values[-1]))
    return None


def _urgency(
    current: ContainerHistory, parameters: DetectionParameters, now_s: float, peers: tuple[ContainerHistory, ...]
) -> Urgency:
    """Return the urgency: due if it also was one interval ago, or if there is no time for another reconcile."""
    found = check_exhaustion(current, parameters, now_s, peers)
    if not found.due or found.time_to_limit_s <= parameters.lead_time.min_s:
        return found
    # In a gap nothing was known: the reconcile before it counts, with the time that has passed since then.
    last_s = current.rss.until(now_s - parameters.interval_s).last_s
    is_gap = now_s - last_s > parameters.interval_s + MAX_SAMPLE_AGE_SPACINGS * current.rss.spacing_s
    before_s = last_s if is_gap else now_s - parameters.interval_s
    before = check_exhaustion(current.as_of(before_s), parameters, before_s, tuple(p.as_of(before_s) for p in peers))
    left_s = before.time_to_limit_s - (now_s - before_s)
    if before.due or (is_gap and before.reason is VerdictReason.LEAKING and left_s <= (found.lead_time_s or 0.0)):
        return found
    return replace(found, reason=VerdictReason.SUSPECTED, message="not yet due at two reconciles in a row")


def _leaking(result: WindowResult, urgency: Urgency, usage: float) -> ContainerVerdict:
    """Return the verdict of a confirmed leak, with the time at which it must be rolled."""
    window = result.window
    left_s: float | None = time_to_limit_s(window, urgency.time_to_limit_s)
    if window.is_long and not urgency.due:
        left_s = time_to_limit_at_daily_peaks_s(window, window.trend.slope_bytes_per_s)
    lead_s = urgency.lead_time_s
    if window.history.limit_bytes is None:
        left_s = lead_s = None
    elif lead_s is None:
        phase = measure_growth_phase(window.history, window.parameters, window.at_s)
        lead_s = lead_time_s(window, phase, left_s or 0.0) if phase is not None else None
    message = "grows like a leak" if urgency.due else f"grows like a leak; {urgency.message}".rstrip("; ")
    reason = VerdictReason.LEAKING
    return ContainerVerdict(Verdict.LEAKING, reason, message, usage, window.trend, left_s, lead_s, due=urgency.due)


def _no_window(
    current: ContainerHistory, parameters: DetectionParameters, now_s: float, usage: float
) -> ContainerVerdict:
    """Return the verdict of a container none of whose windows has enough samples."""
    wait_s = current.started_at_s + parameters.warm_up_s + MIN_COVERED_RATIO * parameters.window_s - now_s
    if wait_s > 0:
        return warming_up(wait_s, usage)
    missing = TrendWindow(current, parameters, parameters.window_s, now_s).insufficient_data
    return _inconclusive(VerdictReason.TOO_FEW_SAMPLES, missing, usage)


def no_rss(usage_bytes: float) -> ContainerVerdict:
    """Return the verdict of a container of which only the working set is known: it has no trend."""
    message = (
        "Prometheus has the working set of this container, but no container_memory_rss: keep that metric of "
        "/metrics/cadvisor in the scrape configuration; Windows nodes and gVisor do not report it"
    )
    return _inconclusive(VerdictReason.NO_RSS, message, usage_bytes)


def warming_up(wait_s: float, usage_bytes: float) -> ContainerVerdict:
    """Return the verdict of a container that is too young to be assessed for another `wait_s` seconds."""
    return _inconclusive(VerdictReason.WARMING_UP, f"too young: assessed in {wait_s:.0f} s", usage_bytes)


def _not_leaking(result: WindowResult, usage: float) -> ContainerVerdict:
    trend = result.window.trend
    if result.reason is None or result.has_leak_shape:
        for_s = result.window.parameters.for_s
        message = result.message or f"grows like a leak, but not yet for {for_s:.0f} s"
        return ContainerVerdict(Verdict.SUSPECTED, VerdictReason.SUSPECTED, message, usage, trend)
    return ContainerVerdict(Verdict.HEALTHY, result.reason, result.message, usage, trend)


def is_above_threshold(history: ContainerHistory, parameters: DetectionParameters, now_s: float) -> bool:
    """Return whether the usage was at or above the usage threshold throughout the last `growth.for`."""
    if parameters.usage_threshold is None or history.limit_bytes is None:
        return False
    samples = history.usage
    first = int(np.searchsorted(samples.times_s, now_s - parameters.for_s, side="right")) - 1
    if first < 0:
        return False  # no samples from before that time yet
    return bool(samples.values[first:].min() >= parameters.usage_threshold * history.limit_bytes)
