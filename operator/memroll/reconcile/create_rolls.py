"""Create the PodRolls of a plan: each attempt once, under a name that no earlier PodRoll has.

`reconcile.plan_rolls` calls it with a plan, and gets the plan without the rolls that could not be recorded. An error
blocks only the candidate that it is about: a PodRoll that was created before is rolled, and must be in the Outcome.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from memroll.api.decode import decode_or_none
from memroll.api.pod_roll import PodRoll
from memroll.errors import ConflictError, MemrollError
from memroll.model.roll_record import RollRecord
from memroll.planning.gate_result import Gate
from memroll.planning.plan import Blocked
from memroll.planning.pod_roll_manifest import pod_roll_manifest, roll_names
from memroll.reconcile.step_memory import CreatedRoll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.planning.candidate import Candidate
    from memroll.planning.plan import Plan
    from memroll.reconcile.snapshot import PolicySnapshot
    from memroll.rolling.protocols import PodRollStore

logger = logging.getLogger(__name__)

MAX_NAMES_TRIED = 5
"""Maximum number of names that are tried for a PodRoll, chosen by hand. The first ones may belong to other pods."""
CREATED_INVALID = "was created, but is invalid in the API server's response: check the mutating webhooks"
"""End of the message about a created PodRoll that can't be read."""
LEASE_LOST = "the Lease was lost before its PodRoll was created: the new leader continues"
"""Message of the gate NotLeader for a roll that was planned while this process held the Lease."""


async def create_rolls(
    snapshot: PolicySnapshot, plan: Plan, rolls: Sequence[RollRecord], store: PodRollStore
) -> tuple[Plan, tuple[RollRecord, ...]]:
    """Create a PodRoll for each planned roll; return the plan and the PodRolls.

    Candidates whose PodRoll could not be created are blocked in the returned plan. `rolls` are the current PodRolls of
    the namespace.
    """
    created: list[RollRecord] = []
    blocked: list[Blocked] = []
    for candidate in plan.rolls:
        result = await _create_if_leader(snapshot, candidate, rolls, store)
        if isinstance(result, Blocked):
            blocked.append(result)
        elif result is not None:
            created.append(result)
    blocked_pods = {b.candidate.pod.key for b in blocked}
    planned = tuple(c for c in plan.rolls if c.pod.key not in blocked_pods)
    return replace(plan, rolls=planned, blocked=(*plan.blocked, *blocked)), tuple(created)


async def _create_if_leader(
    snapshot: PolicySnapshot, candidate: Candidate, rolls: Sequence[RollRecord], store: PodRollStore
) -> RollRecord | Blocked | None:
    """Create one PodRoll while this process holds the Lease; an error blocks the candidate."""
    if not snapshot.leads():
        return Blocked(candidate, Gate.NOT_LEADER, LEASE_LOST)
    try:
        return await _create(snapshot, candidate, rolls, store)
    except MemrollError as error:
        pod = candidate.pod.key
        logger.warning("no PodRoll for pod %s/%s: %s", pod.namespace, pod.name, error)
        message = f"its PodRoll can't be created: {error.message}"
        return Blocked(candidate, Gate.POD_ROLL_NOT_CREATED, message, error)


async def _create(
    snapshot: PolicySnapshot, candidate: Candidate, rolls: Sequence[RollRecord], store: PodRollStore
) -> RollRecord | Blocked | None:
    """Create one PodRoll; None if it exists already: another operator created it, or the response was lost."""
    pod, message = candidate.pod.key, "its PodRolls are created and deleted too fast to create another one"
    for name in islice(roll_names(pod, rolls), MAX_NAMES_TRIED):
        manifest = pod_roll_manifest(snapshot.policy, name, candidate)
        try:
            response = await store.create_roll(pod.namespace, manifest)
            _remember(snapshot, candidate, response)
            return decode_or_none(response, RollRecord.read) or Blocked(
                candidate, Gate.POD_ROLL_NOT_CREATED, f"PodRoll {name} {CREATED_INVALID}"
            )
        except ConflictError:
            raw = await store.get_roll(pod.namespace, name)
        if raw is None:
            continue
        existing = decode_or_none(raw, RollRecord.read)
        if existing is not None and existing.pod_uid == pod.uid:
            return None if existing.active else Blocked(candidate, Gate.POD_ROLL_NOT_CREATED, _has_ended(existing))
        message = (
            f"PodRoll {name} has the name that the pod's next PodRoll needs, but is about something else: delete it"
        )
        logger.warning("%s", message, extra={"namespace": pod.namespace, "pod": pod.name})
    return Blocked(candidate, Gate.POD_ROLL_NOT_CREATED, message)


def _remember(snapshot: PolicySnapshot, candidate: Candidate, raw: dict[str, Any]) -> None:
    """Remember for the announcement of a roll what was read for its plan."""
    roll = decode_or_none(raw, PodRoll.read)
    if roll is not None and roll.pod_uid == candidate.pod.key.uid:
        planned = CreatedRoll(roll, snapshot.policy, candidate.workload, candidate.hash_selector)
        snapshot.planned.put((roll.namespace, roll.name), planned, snapshot.now)


def _has_ended(roll: RollRecord) -> str:
    return f"PodRoll {roll.name} of this pod has just ended as {roll.status.phase}: the next reconcile counts it"
