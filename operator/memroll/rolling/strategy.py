"""Base of the roll strategies, and the result of choosing one.

A strategy is one object in a file of its own: `surge.py`, `evict.py`, `restart.py`. `strategy_choice.STRATEGIES` lists
them; the state machine, the observer and the comparison of effects call their methods and do not test for one of them.
Exceptions: the fallback in `rollback.py` continues with Evict, and one Event is about Surge.
To add a strategy: docs/architecture.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memroll.api.pod_roll import Phase
    from memroll.api.roll_spec import Strategy
    from memroll.model.permissions import Permissions
    from memroll.model.pods import Pod, Workload
    from memroll.rolling.observation import StepInput, Transition


@dataclass(frozen=True, slots=True)
class StrategyChoice:
    """Strategy to use for a pod; never Auto."""

    strategy: Strategy
    reason: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """No strategy that the spec allows can roll the pod."""

    reason: str


@dataclass(frozen=True, slots=True)
class RollSubject:
    """Facts that decide which strategies a pod supports."""

    pod: Pod
    workload: Workload
    permissions: Permissions
    hash_selector: str = ""
    """Sentence that names the Service or NetworkPolicy that selects the pod by its template hash, or empty."""
    missing_room: str = ""
    """Sentence about the nodes, none of which has room for a second copy of the pod, or empty."""


class RollStrategy(ABC):
    """One way to replace a pod."""

    strategy: ClassVar[Strategy]
    """Name in the API."""
    reason: ClassVar[str] = "set in the spec"
    """Reason in the record when no other strategy was considered before this one."""
    releases_pod: ClassVar[bool] = False
    """True if the pod is released from its ReplicaSet. Services and NetworkPolicies that select the pod by its template
    hash then matter, and can change until the release: the choice is checked again right before the first change."""
    evicts_pod: ClassVar[bool] = True
    """True if the pod is evicted through the Eviction API."""
    effect_unknown_because: ClassVar[str] = ""
    """Why the effect of such rolls can't be measured, or empty."""

    @property
    @abstractmethod
    def steps(self) -> Mapping[Phase, Callable[[StepInput], Transition]]:
        """Steps by phase, between the first change and Verifying."""

    @abstractmethod
    def is_permitted(self, permissions: Permissions) -> bool:
        """Return whether memroll was installed with the permissions that the strategy needs."""

    @abstractmethod
    def unsupported_because(self, subject: RollSubject) -> str:
        """Return why the strategy can't be used even if the spec requires it, or an empty string."""

    def not_automatic_because(self, subject: RollSubject) -> str:
        """Return why Auto must go on to the next strategy, or an empty string."""
        return self.unsupported_because(subject)

    @abstractmethod
    def first_change(self, step: StepInput) -> Transition:
        """Return the transition that changes the cluster for the first time. Pod and workload exist."""


def recreate_conflict(workload: Workload) -> str:
    return f"{workload.owner} has strategy Recreate (two of its pods must never run at once)"
