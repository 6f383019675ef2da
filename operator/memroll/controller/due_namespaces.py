"""Namespaces in which a pod is due, from the last outcome of each policy. The rate limit shares rolls among them.

`PolicyController` records each outcome and passes `is_due_elsewhere` to the reconciles. In memory only: after a restart
a namespace may use more than its quota until the other policies have been reconciled, and that excess counts for no
other namespace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api.policy import Mode
from memroll.controller.key import Key
from memroll.planning.gate_result import Gate

if TYPE_CHECKING:
    from datetime import datetime

    from memroll.reporting.outcome import Outcome

MAX_AGE_INTERVALS = 3
"""Intervals of the policy after which its last outcome is no longer used. Chosen by hand: one reconcile may be slow,
and one may fail."""
MIN_AGE = timedelta(minutes=1)
"""Minimum time for which an outcome is used. Chosen by hand, for intervals of a few seconds."""
GATES_OF_DUE_PODS = frozenset({Gate.ROLL_IN_PROGRESS, Gate.CONCURRENCY, Gate.COOLDOWN, Gate.RATE_LIMITED})
"""Gates of pods that are being rolled, or are going to be as soon as the pace permits."""


@dataclass(slots=True)
class DueNamespaces:
    """Policies with a due pod, each until its outcome is too old."""

    _due_until: dict[Key, datetime] = field(default_factory=dict)

    def record(self, outcome: Outcome) -> None:
        """Store whether a pod of the policy is due; after an error the last outcome stays, until it is too old."""
        policy = outcome.policy
        key = Key(policy.namespace, policy.name)
        if _has_due_pod(outcome):
            self._due_until[key] = outcome.now + max(MIN_AGE, MAX_AGE_INTERVALS * policy.spec.interval)
        elif outcome.error is None:
            self.forget(key)

    def forget(self, key: Key) -> None:
        """Remove a policy that does not exist any longer."""
        self._due_until.pop(key, None)

    def is_due_elsewhere(self, namespace: str, now: datetime) -> bool:
        """Return whether a pod of another namespace is due."""
        return any(key.namespace != namespace and until > now for key, until in self._due_until.items())


def _has_due_pod(outcome: Outcome) -> bool:
    plan = outcome.plan
    if outcome.policy.spec.mode is not Mode.ENFORCE:
        return False
    return bool(plan.rolls) or any(b.candidate.due and b.gate in GATES_OF_DUE_PODS for b in plan.blocked)
