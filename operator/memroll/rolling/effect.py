"""What a roll was worth, and what follows from it. Pure: samples and records in, a `Memory` or words out.

A replacement is compared with the pod that it replaced twice. After its warm-up: is the memory back at once? And at an
age that the old pod reached, too: does it grow again as fast, by the detector's own trend over the same window of both
lives? A roll that freed next to nothing puts its workload on hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memroll.api.pod_roll import Effect, Memory
from memroll.api.quantity import about, mib
from memroll.api.roll_spec import Strategy
from memroll.detection.process_restarts import lives
from memroll.detection.window import COVERED_SHARE, EFFECT_SHARE_OF_LIMIT, Look

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import Finding, PodRoll
    from memroll.detection.container_history import Rule, Subject
    from memroll.model.pods import Container, Target

SETTLED_SHARE = 1 / 12
"""The share of a window after its warm-up over which a replacement's usage is taken: one sample is no level."""
SETTLED_SPACINGS = 2.0
SETTLED_SHARE_MAX = 1 / 4
FREED_SHARE = 0.2
"""Of what the old pod had gained since that age. Freeing less is freeing next to nothing."""
FREED_SHARE_OF_USAGE = 0.05
"""The same, of what the old pod held, where nobody knows what it had gained."""
PERSISTS_SHARE = 0.5
"""A replacement that grows at this share of the old pod's slope, or faster, leaks as it did."""
IMAGE_CHARS_MAX = 512
"""A record holds no more of an image's name."""


@dataclass(frozen=True, slots=True)
class Ages:
    """The ages of its container, in seconds, at which a replacement is compared."""

    settled_s: float
    """When its usage is."""
    grown_s: float | None
    """When its growth is; None where the old pod has no such age."""
    unknown: str = ""
    """Why it has none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A replacement and the pod that it replaced, each with its samples; None: Prometheus has none of it."""

    new: Subject | None
    old: Subject | None
    rule: Rule
    ages: Ages
    age_s: float
    """The age that is compared now, one of `ages`."""


def ages(rule: Rule, roll: PodRoll) -> Ages:
    """Return when the roll's replacement is compared. An old pod that did not live for long is compared earlier.

    A little earlier than the age that it reached: a replacement that leaks as it did will not live for longer.
    """
    settled_s = rule.warm_up_s + SETTLED_SHARE * rule.window_s
    started = roll.spec.finding.container_started if roll.spec.finding else None
    if started is None:
        return Ages(settled_s, None, "the roll does not say when the old container began")
    judged_s = (roll.created_at - started).total_seconds() - rule.warm_up_s
    if judged_s <= 0:
        return Ages(settled_s, None, "the old pod was rolled in its warm-up")
    grown_s = rule.warm_up_s + min(rule.window_s, COVERED_SHARE * judged_s)
    return Ages(min(settled_s, grown_s), grown_s)


def due_s(ages: Ages, memory: Memory | None, age_s: float) -> float | None:
    """Return the age that a replacement of this age can be compared at by now; None: nothing new to ask."""
    if ages.grown_s is not None and age_s >= ages.grown_s:
        return ages.grown_s
    return ages.settled_s if memory is None and age_s >= ages.settled_s else None


def doubt(roll: PodRoll, target: Target | None, container: Container | None, rolled_by: str = "") -> str:
    """Say why nothing can be learnt of this roll (any more), or nothing.

    `target` and `container` are the replacement's, if it lives; `rolled_by` is the PodRoll of the replacement itself.
    """
    new = roll.status.replacement
    if roll.spec.finding is None:
        return "the roll does not say for which numbers it was made"
    if roll.status.strategy is Strategy.RESTART:
        return "the whole workload was restarted: none of its pods is the replacement of this one"
    if new is None:
        return "no replacement is known"
    if target is None or container is None:
        fate = f"itself rolled by PodRoll {rolled_by}" if rolled_by else "gone, or not watched any more,"
        return f"replacement {new.name} was {fate} before it was old enough to be compared"
    if container.restarts:
        killed = ", the last time for want of memory" if container.oom_killed_at else ""
        return f"the container of replacement {new.name} was restarted{killed}"
    return ""


def given_up(memory: Memory | None, why: str, now: datetime) -> Memory:
    """Settle that the roll's effect stays unknown: it is not asked for again."""
    known = memory or Memory()
    return known.model_copy(update={"message": "; ".join(s for s in (freed(known), why) if s)[:1024], "judged": now})


def freed(memory: Memory) -> str:
    """Say what came down, where that is known: "freed 3.1 MiB of 110.0 MiB"."""
    if memory.before_bytes is None or memory.after_bytes is None:
        return ""
    return f"freed {mib(max(0, memory.before_bytes - memory.after_bytes))} of {mib(memory.before_bytes)}"


def compared(roll: PodRoll, pair: Pair, now: datetime) -> Memory | None:
    """Return what the roll was worth, as far as it can be told by now. `judged` is set when that is all.

    None: there are no samples yet, and there is time to wait for some.
    """
    assert roll.spec.finding is not None, "without one there is doubt"
    last = pair.ages.grown_s is None or pair.age_s >= pair.ages.grown_s
    memory = roll.status.memory or _settled(roll.spec.finding, pair)
    if memory is None:
        return given_up(None, "Prometheus has no samples of the replacement at that age", now) if last else None
    if memory.effect is not None:
        return memory.model_copy(update={"judged": now})
    if pair.ages.grown_s is None:
        return given_up(memory, pair.ages.unknown, now)
    return _grown(memory, pair, now) if last else memory


def _settled(finding: Finding, pair: Pair) -> Memory | None:
    """Compare what both held after their warm-up; None without samples of the replacement."""
    age_s, before = pair.ages.settled_s, finding.usage_bytes
    after, young = held_bytes(pair.new, pair.rule, age_s), held_bytes(pair.old, pair.rule, age_s)
    if after is None:
        return None
    memory = Memory(before_bytes=before, after_bytes=max(0, int(after)), age_seconds=int(age_s))
    if before - after >= _worth_bytes(finding, young):
        when = "" if pair.ages.grown_s is None else f"; growth is compared at the age of {about(pair.ages.grown_s)}"
        return memory.model_copy(update={"message": f"{freed(memory)}{when}"})
    then = "" if young is None else f", the old pod held {mib(young)} then"
    said = f"{freed(memory)}: the replacement holds {mib(after)} at the age of {about(age_s)}{then}"
    return memory.model_copy(update={"effect": Effect.INEFFECTIVE, "message": said})


def _worth_bytes(finding: Finding, young_bytes: float | None) -> float:
    """Return how much a roll must free to be worth something.

    A share of what the old pod had gained since it was as young: a service that needs most of its limit from the
    start gains little, and all of that can be freed.
    """
    if young_bytes is None:
        return FREED_SHARE_OF_USAGE * finding.usage_bytes
    notable = EFFECT_SHARE_OF_LIMIT * (finding.limit_bytes or finding.usage_bytes)
    return max(notable, FREED_SHARE * (finding.usage_bytes - young_bytes))


def held_bytes(subject: Subject | None, rule: Rule, age_s: float) -> float | None:
    """Return the median usage of the last while before this age; None without a sample."""
    if subject is None:
        return None
    at_s, spacing_s = subject.started_at_s + age_s, subject.working_set.spacing_s
    back_s = min(max(SETTLED_SHARE * rule.window_s, SETTLED_SPACINGS * spacing_s), SETTLED_SHARE_MAX * rule.window_s)
    recent = subject.working_set.between(max(at_s - back_s, subject.started_at_s), at_s)
    return float(np.median(recent.values)) if len(recent) else None


def _grown(memory: Memory, pair: Pair, now: datetime) -> Memory:
    """Compare the slopes of both at the same age."""
    old, new = _look(pair.old, pair), _look(pair.new, pair)
    for whose, look in (("old pod", old), ("replacement", new)):
        if look is None or look.shortage:
            shortage = look.shortage if look else "Prometheus has no samples of it"
            return given_up(memory, f"the {whose} can't be compared at the age of {about(pair.age_s)}: {shortage}", now)
    assert old is not None, "returned above"
    assert new is not None, "returned above"
    effect, said = _effect(old, new, pair)
    return memory.model_copy(
        update={
            "growth_before_bytes_per_hour": round(old.trend.slope_bytes_per_s * 3600),
            "growth_after_bytes_per_hour": round(new.trend.slope_bytes_per_s * 3600),
            "age_seconds": int(pair.age_s),
            "effect": effect,
            "message": f"{freed(memory)}; {said}",
            "judged": now,
        }
    )


def _look(subject: Subject | None, pair: Pair) -> Look | None:
    """Look at the life that goes on at that age, as the detector does."""
    if subject is None:
        return None
    at_s = subject.started_at_s + pair.age_s
    *_, life = lives(subject.seen(at_s), pair.rule)
    return Look(life, pair.rule, min(pair.rule.window_s, pair.age_s - pair.rule.warm_up_s), at_s)


def _effect(old: Look, new: Look, pair: Pair) -> tuple[Effect, str]:
    threshold = pair.rule.threshold_bytes_per_s or 0.0
    before, after = old.trend.slope_bytes_per_s, new.trend.slope_bytes_per_s
    grows = after > threshold and new.trend.bound_bytes_per_s > threshold / 2
    said = f"{_per_hour(after)} at the age of {about(pair.age_s)}"
    if grows and after >= PERSISTS_SHARE * before:
        as_before = "as" if after <= before / PERSISTS_SHARE else "faster than"
        return Effect.LEAK_PERSISTS, f"{said}, {as_before} before ({_per_hour(before)})"
    if before <= threshold:
        return Effect.HELPED, f"{said}, when the old pod did not leak yet, either ({_per_hour(before)})"
    return Effect.HELPED, f"{said}, {_per_hour(before)} before"


def _per_hour(bytes_per_s: float) -> str:
    return f"{bytes_per_s * 3600 / 2**20:+.1f} MiB per hour"
