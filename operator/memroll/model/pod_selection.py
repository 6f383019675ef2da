"""Objects that select one pod, as far as a roll of it is concerned. `clients.kube.services` finds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PodSelection:
    """Objects that select a pod by its labels as they are."""

    hash_selector: str = ""
    """Sentence that names the object which selects the pod by its template hash, or that this can't be read; empty if
    nothing does."""
    budgets: int | None = None
    """Number of PodDisruptionBudgets that select the pod; None if that is not known."""
