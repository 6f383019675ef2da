"""The gate that blocks workloads whose last rolls freed next to no memory. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.pod_roll import Effect
from memroll.model.revisions import revision_of, revision_of_roll
from memroll.planning.candidate import same_workload
from memroll.rolling.effect import IMAGE_CHARS_MAX, freed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memroll.api.pod_roll import Finding, PodRoll
    from memroll.model.pods import Container, Target
    from memroll.planning.candidate import Candidate, Context

HOLD_LEAST = timedelta(hours=6)
HOLD_MOST = timedelta(days=7)
DOUBLINGS_MOST = 20


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
