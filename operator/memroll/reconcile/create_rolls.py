"""Creating the PodRolls of a plan: each attempt once, under a name that no earlier record has."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memroll.api.pod_roll import PodRoll
from memroll.errors import Conflict, Waiting
from memroll.planning.plan import Hold
from memroll.planning.pod_roll_manifest import manifest, names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.planning.candidate import Candidate
    from memroll.planning.plan import Plan
    from memroll.reconcile.snapshot import Cluster, Scene

logger = logging.getLogger(__name__)

NAMES_TRIED = 5
"""Names of one attempt, where records that are about something else bear the first ones."""
NAME_TAKEN = "name_taken"
"""The gate that holds a pod whose attempt can't be recorded."""


async def create_rolls(
    scene: Scene, plan: Plan, rolls: Sequence[PodRoll], cluster: Cluster
) -> tuple[Plan, tuple[PodRoll, ...]]:
    """Create a PodRoll for each planned roll; return them, and the plan with those held that could not be recorded.

    `rolls`: the PodRolls of the namespace as they stand now. Raises Waiting when the Lease is lost on the way.
    """
    created: list[PodRoll] = []
    held: list[Hold] = []
    for candidate in plan.rolls:
        if not scene.leads():
            raise Waiting("NotLeader", "the Lease was lost before a roll was recorded: whoever leads now goes on")
        made = await _create(scene, candidate, rolls, cluster)
        if isinstance(made, Hold):
            held.append(made)
        elif made is not None:
            created.append(made)
    stopped = [h.candidate for h in held]
    left = tuple(c for c in plan.rolls if c not in stopped)
    return replace(plan, rolls=left, holds=(*plan.holds, *held)), tuple(created)


async def _create(
    scene: Scene, candidate: Candidate, rolls: Sequence[PodRoll], cluster: Cluster
) -> PodRoll | Hold | None:
    """Create one PodRoll; None when this very attempt is recorded already, by another operator or a lost answer."""
    pod, words = candidate.target.key, ""
    for name in islice(names_of(pod, rolls), NAMES_TRIED):
        try:
            return PodRoll.read(await cluster.create_roll(pod.namespace, manifest(scene.policy, name, candidate)))
        except Conflict:
            found = await cluster.roll(pod.namespace, name)
        if found is None:
            continue
        known = _read(found)
        if known is not None and known.pod_uid == pod.uid:
            return None if known.active else Hold(candidate, NAME_TAKEN, _ended(known))
        words = f"PodRoll {name} bears the name of its next roll and is not about it: delete it"
        logger.warning("%s", words, extra={"namespace": pod.namespace, "pod": pod.name})
    return Hold(candidate, NAME_TAKEN, words or "its PodRolls come and go too fast for another to be recorded")


def _ended(roll: PodRoll) -> str:
    return f"PodRoll {roll.name} of this pod ended as {roll.status.phase} just now: the next pass counts it"


def _read(raw: dict[str, Any]) -> PodRoll | None:
    try:
        return PodRoll.read(raw)
    except ValidationError:
        return None
