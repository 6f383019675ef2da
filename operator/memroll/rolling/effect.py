"""Effect of a roll: compares the memory of the replacement with that of the pod that it replaced. Pure.

Samples and records go in, a `RollEffect` comes out; `reconcile.effect` calls it for rolls that have succeeded. There
are two comparisons. After the warm-up: is the memory back at once? And at an age that the old pod reached as well: does
the replacement grow as fast, by the detector's own trend over the same window of both containers? A roll that freed too
little blocks its workload for a while (`planning.effectiveness_gate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.pod_roll import EffectResult, RollEffect
from memroll.api.quantity import format_mib, format_rate, humanize_duration
from memroll.detection.process_restarts import process_lifetimes
from memroll.detection.shape_checks import MIN_RISE_LIMIT_RATIO
from memroll.detection.window import MIN_COVERED_RATIO, TrendWindow
from memroll.rolling.observation import MAX_MESSAGE_CHARS
from memroll.rolling.strategy_choice import strategy_of

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRoll, RollTrigger
    from memroll.detection.container_history import ContainerHistory
    from memroll.detection.parameters import DetectionParameters
    from memroll.model.pods import Container, Pod
    from memroll.model.roll_record import RecordedEffect, RollRecord

USAGE_WINDOW_RATIO = 1 / 12
"""Part of the window, after the warm-up, over which the replacement's usage is measured: one sample is not a level."""
MIN_USAGE_SPACINGS = 2.0
"""Minimum length of that part, in sample spacings. Chosen by hand."""
MAX_USAGE_WINDOW_RATIO = 1 / 4
"""Maximum length of that part, as a ratio of the window, however far apart the samples are. Chosen by hand."""
MIN_FREED_RATIO = 0.2
"""Minimum ratio of the old pod's growth since that age that an effective roll frees (docs/design/0009)."""
MIN_FREED_USAGE_RATIO = 0.05
"""Minimum ratio of the old pod's usage that an effective roll frees, when its usage at that age is unknown."""
MIN_PERSISTING_RATIO = 0.5
"""Minimum ratio of the replacement's slope to the old pod's for a leak that persists (docs/design/0009)."""


@dataclass(frozen=True, slots=True)
class ComparisonAges:
    """Ages of the container, in seconds, at which a replacement is compared."""

    usage_age_s: float
    """Age at which the usage is compared."""
    growth_age_s: float | None
    """Age at which the growth is compared; None when the old pod has no such age."""
    no_growth_because: str = ""
    """Why there is no age for the growth, or empty."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Samples of a replacement and of the pod that it replaced; None where Prometheus has none."""

    new: ContainerHistory | None
    old: ContainerHistory | None
    parameters: DetectionParameters
    ages: ComparisonAges
    age_s: float
    """The one of `ages` at which the two are compared now."""


def comparison_ages(parameters: DetectionParameters, roll: PodRoll | RollRecord) -> ComparisonAges:
    """Return the ages at which the roll's replacement is compared; earlier for an old pod that ran for a short time.

    The age for the growth is a little below the one that the old pod reached: a replacement that leaks as fast will not
    run for longer.
    """
    usage_age_s = parameters.warm_up_s + USAGE_WINDOW_RATIO * parameters.window_s
    started = roll.spec.trigger.container_started if roll.spec.trigger else None
    if started is None:
        return ComparisonAges(usage_age_s, None, "the roll does not record when the old container started")
    observed_s = (roll.created_at - started).total_seconds() - parameters.warm_up_s
    if observed_s <= 0:
        return ComparisonAges(usage_age_s, None, "the old pod was rolled during its warm-up")
    growth_age_s = parameters.warm_up_s + min(parameters.window_s, MIN_COVERED_RATIO * observed_s)
    return ComparisonAges(min(usage_age_s, growth_age_s), growth_age_s)


def due_age_s(ages: ComparisonAges, effect: RollEffect | RecordedEffect | None, age_s: float) -> float | None:
    """Return the age at which a replacement of this age can be compared now; None when nothing new can be compared."""
    if ages.growth_age_s is not None and age_s >= ages.growth_age_s:
        return ages.growth_age_s
    return ages.usage_age_s if effect is None and age_s >= ages.usage_age_s else None


def why_unmeasurable(roll: RollRecord, pod: Pod | None, container: Container | None, rolled_by: str = "") -> str:
    """Return why the roll's effect can't be measured, or an empty string.

    `pod` and `container` are those of the replacement, if it exists; `rolled_by` is the PodRoll of the replacement.
    """
    new, strategy = roll.status.replacement, strategy_of(roll.status.strategy)
    if roll.spec.trigger is None:
        return "the roll does not record the numbers that triggered it"
    if strategy is not None and strategy.effect_unknown_because:
        return strategy.effect_unknown_because
    if new is None:
        return "no replacement is known"
    if pod is None or container is None:
        fate = f"itself rolled by PodRoll {rolled_by}" if rolled_by else "gone, or no longer watched,"
        return f"replacement {new.name} was {fate} before it was old enough to be compared"
    if container.restarts:
        killed = ", the last time OOM-killed" if container.oom_killed_at else ""
        return f"the container of replacement {new.name} was restarted{killed}"
    return ""


def mark_unknown(effect: RollEffect | None, why: str, now: datetime) -> RollEffect:
    """Return an effect that stays unknown: the roll is not compared again."""
    known = effect or RollEffect()
    message = "; ".join(s for s in (describe_freed(known), why) if s)[:MAX_MESSAGE_CHARS]
    return known.model_copy(update={"message": message, "compared_at": now})


def describe_freed(effect: RollEffect | RecordedEffect) -> str:
    """Return the freed memory, if it is known: "freed 3.1 MiB of 110.0 MiB"."""
    if effect.before_bytes is None or effect.after_bytes is None:
        return ""
    return f"freed {format_mib(max(0, effect.before_bytes - effect.after_bytes))} of {format_mib(effect.before_bytes)}"


def compare(roll: PodRoll, comparison: Comparison, now: datetime) -> RollEffect | None:
    """Return the roll's effect as far as it is known now. `compared_at` is set when nothing more will be compared.

    None: there are no samples of the replacement yet, and a later comparison may find some.
    """
    assert roll.spec.trigger is not None, "without a trigger it is unmeasurable"
    last = comparison.ages.growth_age_s is None or comparison.age_s >= comparison.ages.growth_age_s
    effect = roll.status.effect or _compare_usage(roll.spec.trigger, comparison)
    if effect is None:
        return mark_unknown(None, "Prometheus has no samples of the replacement at that age", now) if last else None
    if effect.result is not None:
        return effect.model_copy(update={"compared_at": now})
    if comparison.ages.growth_age_s is None:
        return mark_unknown(effect, comparison.ages.no_growth_because, now)
    return _compare_growth(effect, comparison, now) if last else effect


def _compare_usage(trigger: RollTrigger, comparison: Comparison) -> RollEffect | None:
    """Compare the usage of both after their warm-up; None without samples of the replacement."""
    age_s, before = comparison.ages.usage_age_s, trigger.usage_bytes
    after, young = (
        median_usage_bytes(history, comparison.parameters, age_s) for history in (comparison.new, comparison.old)
    )
    if after is None:
        return None
    effect = RollEffect(before_bytes=before, after_bytes=max(0, int(after)), age_seconds=int(age_s))
    if before - after >= _min_freed_bytes(trigger, young):
        growth_age_s = comparison.ages.growth_age_s
        more = "" if growth_age_s is None else f"; growth is compared at the age of {humanize_duration(growth_age_s)}"
        return effect.model_copy(update={"message": f"{describe_freed(effect)}{more}"})
    old = "" if young is None else f", the old pod held {format_mib(young)} then"
    new = f"the replacement holds {format_mib(after)} at the age of {humanize_duration(age_s)}"
    message = f"{describe_freed(effect)}: {new}{old}"
    return effect.model_copy(update={"result": EffectResult.INEFFECTIVE, "message": message})


def _min_freed_bytes(trigger: RollTrigger, young_bytes: float | None) -> float:
    """Return the bytes that an effective roll frees at least.

    It is a ratio of the old pod's growth since it was as young, not of its usage: a service that needs most of its
    limit from the start grows little, and a roll may free all of that.
    """
    if young_bytes is None:
        return MIN_FREED_USAGE_RATIO * trigger.usage_bytes
    notable = MIN_RISE_LIMIT_RATIO * (trigger.limit_bytes or trigger.usage_bytes)
    return max(notable, MIN_FREED_RATIO * (trigger.usage_bytes - young_bytes))


def median_usage_bytes(history: ContainerHistory | None, parameters: DetectionParameters, age_s: float) -> float | None:
    """Return the median usage right before this age; None without a sample."""
    if history is None:
        return None
    at_s, window_s = history.started_at_s + age_s, parameters.window_s
    min_s = MIN_USAGE_SPACINGS * history.working_set.spacing_s
    back_s = min(max(USAGE_WINDOW_RATIO * window_s, min_s), MAX_USAGE_WINDOW_RATIO * window_s)
    recent = history.working_set.between(max(at_s - back_s, history.started_at_s), at_s)
    return float(np.median(recent.values)) if len(recent) else None


def _compare_growth(effect: RollEffect, comparison: Comparison, now: datetime) -> RollEffect:
    """Compare the slopes of both at the same age."""
    old, new = _trend_window(comparison.old, comparison), _trend_window(comparison.new, comparison)
    for whose, window in (("old pod", old), ("replacement", new)):
        if window is None or window.insufficient_data:
            missing = window.insufficient_data if window else "Prometheus has no samples of it"
            age = humanize_duration(comparison.age_s)
            return mark_unknown(effect, f"the {whose} can't be compared at the age of {age}: {missing}", now)
    assert old is not None, "returned above"
    assert new is not None, "returned above"
    result, growth = _result(old, new, comparison)
    return effect.model_copy(
        update={
            "growth_before_bytes_per_hour": round(old.trend.slope_bytes_per_s * 3600),
            "growth_after_bytes_per_hour": round(new.trend.slope_bytes_per_s * 3600),
            "age_seconds": int(comparison.age_s),
            "result": result,
            "message": f"{describe_freed(effect)}; {growth}",
            "compared_at": now,
        }
    )


def _trend_window(history: ContainerHistory | None, comparison: Comparison) -> TrendWindow | None:
    """Return the detector's window that ends at that age, within the process lifetime of that moment."""
    if history is None:
        return None
    at_s = history.started_at_s + comparison.age_s
    *_, lifetime = process_lifetimes(history.as_of(at_s), comparison.parameters)
    window_s = min(comparison.parameters.window_s, comparison.age_s - comparison.parameters.warm_up_s)
    return TrendWindow(lifetime, comparison.parameters, window_s, at_s)


def _result(old: TrendWindow, new: TrendWindow, comparison: Comparison) -> tuple[EffectResult, str]:
    threshold = comparison.parameters.threshold_bytes_per_s or 0.0
    before, after = old.trend.slope_bytes_per_s, new.trend.slope_bytes_per_s
    grows = after > threshold and new.trend.slope_ci_lower_bytes_per_s > threshold / 2
    growth = f"{format_rate(after)} at the age of {humanize_duration(comparison.age_s)}"
    if grows and after >= MIN_PERSISTING_RATIO * before:
        as_before = "as" if after <= before / MIN_PERSISTING_RATIO else "faster than"
        return EffectResult.LEAK_PERSISTS, f"{growth}, {as_before} before ({format_rate(before)})"
    if before <= threshold:
        return EffectResult.EFFECTIVE, f"{growth}, when the old pod did not leak yet either ({format_rate(before)})"
    return EffectResult.EFFECTIVE, f"{growth}, {format_rate(before)} before"
