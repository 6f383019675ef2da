"""Gate that blocks a container whose last rolls freed too little memory. Pure.

`rolling.effect` compares the memory of a pod with that of its replacement and writes the result into the PodRoll;
this gate reads these results.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.base import MAX_IMAGE_CHARS, rfc3339
from memroll.api.pod_roll import EffectResult
from memroll.model.revisions import revision_of
from memroll.planning.gate_result import NONE, GateResult
from memroll.planning.plan_index import index_of
from memroll.rolling.effect import describe_freed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memroll.model.pods import Container, Pod
    from memroll.model.roll_record import RecordedTrigger, RollRecord
    from memroll.planning.candidate import Candidate, Context

MIN_PAUSE = timedelta(hours=6)
"""Pause after the first ineffective roll. See design note 0009."""
MAX_PAUSE = timedelta(days=7)
"""Maximum pause after ineffective rolls in a row. See design note 0009."""
MAX_DOUBLINGS = 20
"""Maximum number of doublings of the pause that are calculated; `MAX_PAUSE` is reached earlier."""


def check_effectiveness(candidate: Candidate, context: Context) -> GateResult:
    """Block while the pause after ineffective rolls of the same container and revision lasts.

    Rolls of another revision don't count: it may have fixed the leak.
    """
    ineffective = _ineffective_in_a_row(_comparable(candidate, index_of(context).rolls_of(candidate.workload)))
    effect = ineffective[0].status.effect if ineffective else None
    if effect is None:
        return GateResult("", "the last roll was not ineffective", NONE)
    pause_ends = (effect.compared_at or context.now) + pause_after(len(ineffective))
    rolls = "the last roll was" if len(ineffective) == 1 else f"the last {len(ineffective)} rolls were"
    observed = f"{rolls} ineffective ({describe_freed(effect)})"
    message = f"blocked until {rfc3339(pause_ends)} or a new revision: {observed}" if context.now < pause_ends else ""
    return GateResult(message, observed, f"{rfc3339(pause_ends)} or later, or a new revision")


def pause_after(ineffective_rolls: int) -> timedelta:
    """Return the pause after that many ineffective rolls in a row."""
    return min(MAX_PAUSE, MIN_PAUSE * (1 << min(ineffective_rolls - 1, MAX_DOUBLINGS)))


def _ineffective_in_a_row(rolls: Iterable[RollRecord]) -> Sequence[RollRecord]:
    """Return the ineffective rolls since the last effective one, newest first; unknown effects don't count."""
    ineffective = []
    for roll in sorted(rolls, key=lambda r: r.status.times.finished or r.created_at, reverse=True):
        result = roll.status.effect.result if roll.status.effect else None
        if result is EffectResult.INEFFECTIVE:
            ineffective.append(roll)
        elif result is not None:
            break
    return ineffective


def _comparable(candidate: Candidate, rolls: Iterable[RollRecord]) -> Iterable[RollRecord]:
    """Yield those of the workload's rolls that are for the same container in the same revision."""
    container = next((c for c in candidate.pod.containers if c.name == candidate.container), None)
    if container is None:
        return
    for roll in rolls:
        trigger = roll.spec.trigger
        if trigger is None or trigger.container != container.name:
            continue
        if _same_revision(candidate.pod, container, roll, trigger):
            yield roll


def _same_revision(pod: Pod, container: Container, roll: RollRecord, trigger: RecordedTrigger) -> bool:
    """Compare the revisions, or the images if a revision is not known; an unknown value counts as equal."""
    current, rolled = revision_of(pod), roll.revision
    if current and rolled:
        return current == rolled
    return "" in (container.image, trigger.image) or container.image[:MAX_IMAGE_CHARS] == trigger.image
