"""Consecutive surges of a leaking service, for each number of replicas and PodDisruptionBudget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.cases import SoakCase

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.kubectl_proxy import Json
    from tests.soak.roll_scenario import RollScenario

BUDGETS: dict[str, Json | None] = {
    "no-pdb": None,
    "min-1": {"minAvailable": 1},
    "max-0": {"maxUnavailable": 0},
    "min-100": {"minAvailable": "100%"},
}
ROLLS = 20
LEAK = {"LEAK_KIB_PER_SECOND": "700"}
"""Environment of a service that reaches its limit of 128 MiB before 20 rolls have ended, unless it is rolled."""


def surge_case(replicas: int, budget: Json | None) -> Callable[[RollScenario, int], None]:
    """Return the function of a case: each roll starts when the previous one has ended and the workload is settled."""

    def run(scenario: RollScenario, rolls: int) -> None:
        scenario.deploy(replicas, budget, env=LEAK)
        scenario.start_load()
        for _ in range(rolls):
            old = scenario.get_oldest_pod()
            status = scenario.wait_until_ended(scenario.create_roll(old))
            assert status["phase"] == "Succeeded", f"{status['phase']}: {status.get('message')}"
            assert status["strategy"] == "Surge", status["strategyReason"]
            left = {p["metadata"]["uid"] for p in scenario.wait_until_settled(replicas)}
            assert old["metadata"]["uid"] not in left, "the rolled pod still exists"

    return run


CASES = [
    SoakCase(f"surge-{replicas}-{name}", surge_case(replicas, budget), ROLLS)
    for replicas in (1, 3)
    for name, budget in BUDGETS.items()
]
