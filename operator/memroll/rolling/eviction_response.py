"""Responses of the Eviction API, as `PodWriter.evict` returns them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EvictionResult(StrEnum):
    """Outcome of one request to the Eviction API."""

    ACCEPTED = "Accepted"
    """The pod is terminating, by this request or an earlier one."""
    GONE = "Gone"
    """No pod with this uid exists."""
    BLOCKED = "Blocked"
    """A PodDisruptionBudget does not allow the eviction now: retry later."""
    THROTTLED = "Throttled"
    """Too many requests: retry later."""
    MISCONFIGURED = "Misconfigured"
    """Several PodDisruptionBudgets cover the pod: the API server will not evict it until one of them is changed."""
    UNKNOWN = "Unknown"
    """Of a dry run only: another error. An admission webhook that does not support dry runs causes one each time."""


@dataclass(frozen=True, slots=True)
class EvictionResponse:
    result: EvictionResult
    message: str
