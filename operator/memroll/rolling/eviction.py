"""What the Eviction API can answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Eviction(StrEnum):
    """What the API server made of an eviction."""

    ACCEPTED = "Accepted"
    """The pod is going, or was going already."""
    GONE = "Gone"
    """No pod with this uid exists any more."""
    BLOCKED = "Blocked"
    """A PodDisruptionBudget allows none now: wait."""
    THROTTLED = "Throttled"
    """The API server has too much to do: come back later."""
    MISCONFIGURED = "Misconfigured"
    """Several PodDisruptionBudgets cover the pod: the API server will never evict it as things are."""


@dataclass(frozen=True, slots=True)
class EvictionAnswer:
    result: Eviction
    message: str
    retry_after_s: float | None = None
