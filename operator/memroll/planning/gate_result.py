"""Names of the gates, and the result that each gate returns.

`evaluate` runs one gate for one candidate. The plan keeps the result of the first gate that blocks; the policy's
status, Events and metrics report it. A result has the observed and the required value in any case, so that a gate
that does not block can be explained as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.planning.candidate import Candidate, Context

    GateFunction = Callable[[Candidate, Context], "GateResult"]

MAX_GATE_MESSAGE_CHARS = 256
"""Maximum length of a gate's message, in characters: that of `status.atRisk[].blockedBy.message`."""
NONE = "none"
"""Observed or required value of a gate that has nothing to compare."""


class Gate(StrEnum):
    """Name of a gate, in order of evaluation. Part of the API: status, Events and metrics use it."""

    POLICY_SUSPENDED = "PolicySuspended"
    """The policy has `suspend: true`."""
    OBSERVE_ONLY = "ObserveOnly"
    """The policy has `mode: Observe`."""
    NOT_LEADER = "NotLeader"
    """This process does not hold the Lease."""
    POD_TERMINATING = "PodTerminating"
    """The pod is being deleted."""
    POD_RELEASED = "PodReleased"
    """A roll has already released the pod from its ReplicaSet."""
    ROLL_IN_PROGRESS = "RollInProgress"
    """A PodRoll of the pod has not ended yet."""
    DRY_RUN = "DryRun"
    """The policy has `mode: DryRun`, and no gate blocks the roll, or the pod would have been rolled already."""
    NOT_DUE = "NotDue"
    """The pod has more time to its limit than the lead time, or a check found another cause of its last growth."""
    DO_NOT_DISRUPT = "DoNotDisrupt"
    """An annotation of the pod, of its workload or of its namespace protects it."""
    POD_NOT_READY = "PodNotReady"
    """The pod is not Ready."""
    UNSUPPORTED = "Unsupported"
    """No strategy can replace the pod, or memroll lacks the permission for it."""
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    """The workload is being rolled out."""
    CONCURRENCY = "Concurrency"
    """The workload has `roll.maxConcurrent` rolls in progress."""
    COOLDOWN = "Cooldown"
    """A roll of the workload ended less than `roll.cooldown` ago."""
    FAILURE_BACKOFF = "FailureBackoff"
    """The last rolls of the workload failed; the pause doubles with each failure in a row."""
    BUDGET = "Budget"
    """A budget in `roll.budgets` is spent."""
    OUTSIDE_MAINTENANCE_WINDOW = "OutsideMaintenanceWindow"
    """No window in `roll.maintenanceWindows` is open."""
    RATE_LIMITED = "RateLimited"
    """The operator, or the namespace, has made its maximum number of rolls within the last hour."""
    CANARY_PENDING = "CanaryPending"
    """More than half of the workload's pods are at risk at once, and the first roll has not been proved effective."""
    INEFFECTIVE = "Ineffective"
    """The last rolls of the container freed too little memory; the pause doubles with each such roll in a row."""
    POD_ROLL_NOT_CREATED = "PodRollNotCreated"
    """The pod's next PodRoll was refused, or its names are taken. Found out on creation, after all other gates."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """Result of a gate. The gate blocks if there is a message."""

    message: str
    """The reason why the gate blocks, as a sentence; empty if it does not block."""
    observed: str
    required: str

    @property
    def blocks(self) -> bool:
        """True if the candidate must not be rolled now."""
        return bool(self.message)


def evaluate(gate: GateFunction, candidate: Candidate, context: Context) -> GateResult:
    """Run one gate; its message is cut to the length that status allows."""
    result = gate(candidate, context)
    return replace(result, message=result.message[:MAX_GATE_MESSAGE_CHARS])
