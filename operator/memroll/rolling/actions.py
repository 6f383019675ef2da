"""Actions of a roll on the cluster: how each is performed, and what follows when the API server refuses it for good.

The state machine and the strategies put actions into a `Transition`; `reconcile.roll` performs them after it has
written the transition's status. Every action can be repeated. A strategy with an action of its own defines it next to
itself, as `restart.py` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from memroll.api.evidence import Evidence, EvidenceSection, MissingSection
from memroll.api.pod_roll import Detachment, Phase
from memroll.errors import ConflictError, NotFoundError
from memroll.evidence.capture import MAX_REASON_CHARS, CaptureRequest, capture_evidence
from memroll.evidence.capture_time import capture_time_left_s
from memroll.model.annotations import RecordedOwners
from memroll.rolling.eviction_response import EvictionResult
from memroll.rolling.observation import MAX_MESSAGE_CHARS, with_message
from memroll.rolling.reasons import BLOCKED_BY_PDB, EVICTING, EVICTION_REFUSED, TERMINATING, THROTTLED

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.api.pod_roll import PodRollStatus
    from memroll.errors import TerminalError
    from memroll.rolling.eviction_response import EvictionResponse
    from memroll.rolling.observation import StepInput
    from memroll.rolling.protocols import Clients

MAX_UNREPORTED_BLOCK_S = 10.0
"""Seconds for which a PodDisruptionBudget may block an eviction before the status reports it. Chosen by hand: such a
budget counts a new replacement with a short delay, and that alone is no reason for a warning."""


class Action(ABC):
    """One change of the cluster, or one read of it that goes into the record."""

    name: ClassVar[str]
    optional: ClassVar[bool] = False
    """True if the roll continues as planned when the API server refuses the action."""
    changes_cluster: ClassVar[bool] = True
    """False for an action that only reads: what was observed before it is still what the next step would observe."""

    @abstractmethod
    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        """Perform the action on what was observed, and return the status to record.

        The uid and resourceVersion of the observed pod are preconditions of each write.
        """

    def after_refusal(self, step: StepInput, error: TerminalError) -> PodRollStatus:
        """Return the status to record when the API server will never allow the action."""
        return with_message(step.status, self.refusal_message(error))

    def refusal_message(self, error: TerminalError) -> str:
        return f"{self.name} is refused: {error.message}"[:MAX_MESSAGE_CHARS]


class _CaptureEvidence(Action):
    """Capture evidence of the pod into the record. Changes nothing else."""

    name = "capture"
    changes_cluster = False

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        available_s = capture_time_left_s(step.roll, step.pod, step.now)
        permissions = step.observation.permissions

        async def capture(remaining_s: float) -> Evidence:
            request = CaptureRequest(step.roll, step.policy, step.pod, permissions, step.now, remaining_s)
            return await capture_evidence(request, clients.kubernetes, clients.prometheus, clients.reports)

        if clients.captures is None:
            return step.status.model_copy(update={"evidence": await capture(available_s)})
        evidence = await clients.captures.capture(step.roll, available_s, capture)
        return step.status if evidence is None else step.status.model_copy(update={"evidence": evidence})

    def after_refusal(self, step: StepInput, error: TerminalError) -> PodRollStatus:
        """Record why the evidence is missing: a record that the API server refuses must not stop the roll."""
        reason = f"the record was refused: {error.message}"[:MAX_REASON_CHARS]
        missing = MissingSection(section=EvidenceSection.ALL, reason=reason)
        return step.status.model_copy(update={"evidence": Evidence(captured_at=step.now, missing=(missing,))})


class _ReleasePod(Action):
    """Change the pod's template hash: its ReplicaSet releases the pod and creates a replacement."""

    name = "release"

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        release, workload = step.status.release, step.workload
        assert release is not None, "recorded before the pod is released"
        assert workload is not None, "checked by the strategy"
        owners = RecordedOwners(workload.controller, workload.owner)
        refusal = await clients.kubernetes.release(step.pod, release.hash_label, step.roll.name, owners)
        if not refusal:
            return step.status
        return with_message(step.status, f"{step.status.message} (the pod has no owner meanwhile: {refusal})")

    def after_refusal(self, step: StepInput, error: TerminalError) -> PodRollStatus:
        return step.to_phase(Phase.FAILED, self.refusal_message(error), reason=error.reason).status


class _RestorePod(Action):
    """Restore every label that was changed: the ReplicaSet adopts the pod again and deletes the replacement."""

    name = "restore"

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        release = step.status.release
        assert release is not None, "recorded before the pod is released"
        await clients.kubernetes.restore(step.pod, release.hash_label)
        return step.status


class _PreferReplacementDeletion(Action):
    """Let the ReplicaSet delete the replacement, when it adopts the old pod again, and no other Ready pod."""

    name = "prefer the deletion of the replacement"
    optional = True  # without it, the ReplicaSet chooses by its own rules

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        if step.replacement_pod is not None:
            with suppress(NotFoundError, ConflictError):  # it is gone, or has just changed: then the rules decide
                await clients.kubernetes.prefer_deletion(step.replacement_pod)
        return step.status


class _AddOwner(Action):
    """Make the PodRoll an owner of the pod: deleting the PodRoll then leaves no orphaned pod."""

    name = "own"
    optional = True  # a safety net: without it, `restore_orphans` still finds the pod by its label

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        await clients.kubernetes.add_owner(step.pod, step.roll.name, step.roll.uid)
        return step.status


class _LeaveToWorkload(Action):
    """Make the deleted workload the owner of the pod again: the garbage collector deletes the pod with the others."""

    name = "leave to the workload"
    optional = True  # the pod is evicted as well

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        with suppress(NotFoundError, ConflictError):  # the garbage collector was faster, or the next step repeats it
            await clients.kubernetes.leave_to_workload(step.pod)
        return step.status


class _DetachPod(Action):
    """Change the labels by which Services select the pod: no new connection reaches it."""

    name = "detach"

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        assert step.status.detachment is not None, "recorded before the pod is detached"
        await clients.kubernetes.detach(step.pod, step.status.detachment.labels)
        return step.status

    def after_refusal(self, step: StepInput, error: TerminalError) -> PodRollStatus:
        message = self.refusal_message(error)
        return step.to_phase(Phase.EVICTING, message, reason=EVICTING, detachment=Detachment(skipped=message)).status


class _EvictPod(Action):
    """Evict the pod through the Eviction API, and record its response; the next step decides on it."""

    name = "evict"

    async def perform(self, step: StepInput, clients: Clients) -> PodRollStatus:
        response = await clients.kubernetes.evict(step.pod, step.roll.name)
        return _with_response(step.status, response, step.now)

    def after_refusal(self, step: StepInput, error: TerminalError) -> PodRollStatus:
        return with_message(step.status, self.refusal_message(error), reason=EVICTION_REFUSED)


def _with_response(status: PodRollStatus, response: EvictionResponse, now: datetime) -> PodRollStatus:
    match response.result:
        case EvictionResult.ACCEPTED:
            return with_message(status, "the old pod is terminating", reason=TERMINATING)
        case EvictionResult.GONE:
            return with_message(status, "the old pod is gone", reason=TERMINATING)
        case _:
            refused_s = (now - (status.times.evicting or now)).total_seconds()
            reason = refusal_reason(response.result, refused_s, status.reason)
            return with_message(status, response.message, reason=reason)


def refusal_reason(result: EvictionResult, refused_s: float, otherwise: str) -> str:
    """Return the reason of a roll whose eviction, or the dry run of it, has been refused for this long."""
    match result:
        case EvictionResult.BLOCKED if refused_s > MAX_UNREPORTED_BLOCK_S:
            return BLOCKED_BY_PDB
        case EvictionResult.THROTTLED:
            return THROTTLED
        case EvictionResult.MISCONFIGURED:
            return EVICTION_REFUSED
        case _:
            return otherwise


CAPTURE_EVIDENCE = _CaptureEvidence()
RELEASE_POD = _ReleasePod()
RESTORE_POD = _RestorePod()
PREFER_REPLACEMENT_DELETION = _PreferReplacementDeletion()
ADD_OWNER = _AddOwner()
LEAVE_TO_WORKLOAD = _LeaveToWorkload()
DETACH_POD = _DetachPod()
EVICT_POD = _EvictPod()
