"""What a roll was worth, and what follows from it. Pure: samples and records in, a `Memory` or words out.

A replacement is compared with the pod that it replaced twice. After its warm-up: is the memory back at once? And at an
age that the old pod reached, too: does it grow again as fast, by the detector's own trend over the same window of both
lives? A roll that freed next to nothing puts its workload on hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from memroll.analysis.look import COVERED_SHARE, EFFECT_SHARE_OF_LIMIT, Look
from memroll.analysis.segments import lives
from memroll.api.base import rfc3339
from memroll.api.quantity import about, mib
from memroll.api.roll import Effect, Memory
from memroll.api.rolling import Strategy
from memroll.disruption.candidate import same_workload
from memroll.disruption.revisions import revision_of, revision_of_roll

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from memroll.analysis.subject import Rule, Subject
    from memroll.api.roll import Finding, PodRoll
    from memroll.disruption.candidate import Candidate, Context
    from memroll.disruption.target import Container, Target

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
HOLD_LEAST = timedelta(hours=6)
HOLD_MOST = timedelta(days=7)
DOUBLINGS_MOST = 20


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


def on_hold(candidate: Candidate, context: Context) -> str | None:
    """Hold a workload that rolling does not help: twice as long after each ineffective roll in a row.

    A new revision is a new chance: rolls of another one don't count.
    """
    vain = _in_vain(_alike(candidate, context.rolls))
    if not vain:
        return None
    memory = vain[0].status.memory
    assert memory is not None, "an effect stands in it"
    free = (memory.judged or context.now) + pause(len(vain))
    if context.now >= free:
        return None
    rolls = "the last roll" if len(vain) == 1 else f"the last {len(vain)} rolls"
    return f"on hold until {rfc3339(free)} or a new revision: {rolls} did not help ({freed(memory)})"


def pause(ineffective: int) -> timedelta:
    """Return how long a workload is left alone after so many ineffective rolls in a row."""
    return min(HOLD_MOST, HOLD_LEAST * (1 << min(ineffective - 1, DOUBLINGS_MOST)))


def _in_vain(rolls: Iterable[PodRoll]) -> Sequence[PodRoll]:
    """Return the ineffective rolls since one that was worth something, newest first; unknown effects don't count."""
    vain = []
    for roll in sorted(rolls, key=lambda r: r.status.times.finished or r.created_at, reverse=True):
        effect = roll.status.memory.effect if roll.status.memory else None
        if effect is Effect.INEFFECTIVE:
            vain.append(roll)
        elif effect is not None:
            break
    return vain


def _alike(candidate: Candidate, rolls: Iterable[PodRoll]) -> Iterable[PodRoll]:
    """Yield the rolls for the same container in the same revision of the same workload."""
    workload = candidate.workload
    container = next((c for c in candidate.target.containers if c.name == candidate.container), None)
    if workload is None or container is None:
        return
    for roll in rolls:
        finding = roll.spec.finding
        if finding is None or finding.container != container.name or not same_workload(workload, roll):
            continue
        if _same_revision(candidate.target, container, roll, finding):
            yield roll


def _same_revision(target: Target, container: Container, roll: PodRoll, finding: Finding) -> bool:
    """Compare the revisions, or the images where a revision is not known; what is not known does not differ."""
    now, then = revision_of(target), revision_of_roll(roll)
    if now and then:
        return now == then
    return "" in (container.image, finding.image) or container.image[:IMAGE_CHARS_MAX] == finding.image
