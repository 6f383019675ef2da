"""A fleet whose replicas start together and leak alike: all of them are rolled in time under the default budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll_demo.cluster import FAST_LEAKS
from tests.e2e import objects
from tests.soak.cases import SoakCase
from tests.soak.roll_scenario import APP, is_deleting, wait_until

if TYPE_CHECKING:
    from tests.soak.roll_scenario import RollScenario

REPLICAS = 10
LEAK = {"LEAK_KIB_PER_SECOND": "200"}
"""Environment of a service that reaches its limit in about ten minutes; ten rolls take less than three."""
LEAD_TIME = "60s"
"""Lead time of the policy: that by default, a third of the shortest window, leaves no time for a busy machine."""
TIMEOUT_S = 900
STRICT_BUDGET = {"minAvailable": "100%"}


def fleet_case(image: str) -> SoakCase:
    """Return the case; it installs an operator from `image`, whose rate limit fits pods that live for minutes."""

    def run(scenario: RollScenario, _: int) -> None:
        release = f"{scenario.namespace}-op"
        scenario.cluster.install(release, release, image, [scenario.namespace], *FAST_LEAKS)
        try:
            roll_fleet(scenario)
        finally:
            scenario.cluster.uninstall(release, release)

    return SoakCase("fleet-under-default-budget", run, watched=False)


def roll_fleet(scenario: RollScenario) -> None:
    scenario.deploy(REPLICAS, STRICT_BUDGET, env=LEAK)
    scenario.start_load()
    first = {p["metadata"]["uid"]: p["metadata"]["name"] for p in scenario.list_pods()}
    roll = {"cooldown": "0s", "replacementTimeout": "60s"}
    policy = objects.policy(scenario.namespace, APP, roll=roll, exhaustion={"leadTime": LEAD_TIME})
    assert "budgets" not in policy["spec"]["roll"], "the default budget"
    scenario.cluster.apply(policy)

    def are_replaced() -> bool:
        left = [p for p in scenario.list_pods() if p["metadata"]["uid"] in first and not is_deleting(p)]
        assert not scenario.count_oom_kills(), f"OOM kills, with {len(left)} of {REPLICAS} pods left to roll"
        return not left

    try:
        wait_until("a roll of each pod", are_replaced, TIMEOUT_S)
    finally:
        scenario.kube.delete("memorypolicies", scenario.namespace, APP)
    wait_until("the end of the rolls", lambda: not scenario.find_active_rolls())
    rolls = [r for r in scenario.list_rolls() if r["spec"]["podName"] in first.values()]
    scenario.ended_rolls += len(rolls)
    phases = [r["status"]["phase"] for r in rolls]
    assert phases == ["Succeeded"] * REPLICAS, phases
