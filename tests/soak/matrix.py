"""Surge, many times in a row, on a leaking service: replicas by budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.outcome import Case

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.kube import Json
    from tests.soak.stage import Stage

BUDGETS: dict[str, Json | None] = {
    "no-pdb": None,
    "min-1": {"minAvailable": 1},
    "max-0": {"maxUnavailable": 0},
    "min-100": {"minAvailable": "100%"},
}
ROLLS = 20
LEAK = {"LEAK_KIB_PER_SECOND": "700"}
"""A pod that is not rolled reaches its limit of 128 MiB before the 20 rolls are over."""


def matrix(replicas: int, budget: Json | None) -> Callable[[Stage, int], None]:
    """Return a case: each roll starts when the one before has ended and the workload is settled."""

    def act(stage: Stage, rolls: int) -> None:
        stage.deploy(replicas, budget, env=LEAK)
        stage.load()
        for _ in range(rolls):
            old = stage.oldest()
            status = stage.ended(stage.roll(old))
            assert status["phase"] == "Succeeded", f"{status['phase']}: {status.get('message')}"
            assert status["strategy"] == "Surge", status["strategyReason"]
            left = {p["metadata"]["uid"] for p in stage.settled(replicas)}
            assert old["metadata"]["uid"] not in left, "the rolled pod is still there"

    return act


CASES = [
    Case(f"surge-{replicas}-{name}", matrix(replicas, budget), ROLLS)
    for replicas in (1, 3)
    for name, budget in BUDGETS.items()
]
