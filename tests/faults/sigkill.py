"""SIGKILL at every write of a roll, before its execution and before its response, and at random times."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo.cluster import wait_for
from tests.faults.api_proxy import FaultRule
from tests.faults.fault_actions import HoldRequest
from tests.faults.fault_scenario import FINAL, FaultScenario
from tests.faults.invariants import (
    check_invariants,
    is_eviction,
    is_evidence_write,
    is_owner_patch,
    is_release,
    is_status_write,
)
from tests.faults.operator_process import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll_demo.cluster import DemoCluster
    from tests.faults.api_proxy import RequestRecord
    from tests.faults.invariants import FaultResult
    from tests.faults.operator_process import OperatorProcess

PHASES = ("CapturingEvidence", "Replacing", "Evicting", "Succeeded")
WRITES: dict[str, Callable[[RequestRecord], bool]] = {
    **{f"status {phase}": partial(is_status_write, phase) for phase in PHASES},
    "evidence": is_evidence_write,
    "release": is_release,
    "own": is_owner_patch,
    "evict": is_eviction,
}
WRITES_IN_ORDER = (
    "status CapturingEvidence", "evidence", "status Replacing", "release", "status Evicting", "own", "evict",
    "status Succeeded",
)  # fmt: skip
"""Writes of a surge, in their order. `Announced` and `Verifying` are written together with the phases after them."""
ALL_POINTS = tuple((write, after) for write in WRITES_IN_ORDER for after in (False, True))
POINTS_AROUND_ACTIONS = (("release", False), ("release", True), ("own", True), ("evict", False), ("evict", True))


def kill_at_each_write(
    cluster: DemoCluster, points: Sequence[tuple[str, bool]] = ALL_POINTS, *, one_roll: bool = False
) -> FaultResult:
    """Kill at each point: before a write (`False`), or after its execution while its response is held (`True`).

    `one_roll`: all points are in the same roll; otherwise each has a separate roll.
    """
    with FaultScenario(cluster, "killed-at") as scenario:
        scenario.create_workload("steady")
        scenario.wait_until_settled("steady")
        scenario.start_load("steady")
        operator = scenario.create_operator().start()
        kills: list[str] = []
        for number, (write, after) in enumerate(points):
            roll = "roll-0" if one_roll else f"roll-{number}"
            hold = HoldRequest(after)
            rule = FaultRule(hold, predicate=WRITES[write], times=1)
            scenario.proxy.rules.append(rule)
            if not (one_roll and number):
                operator.wait_until_leader()
                scenario.create_roll(roll, scenario.wait_until_serving("steady")[0])
            wait_for(f"{write} of {roll}", partial(_is_reached, hold, operator), 90)
            operator.kill()
            hold.resume()
            scenario.proxy.rules.remove(rule)
            kills.append(f"{'after' if after else 'before'} {write}")
            operator.start()
            if not one_roll:
                scenario.wait_until_ended(roll)
                scenario.wait_until_settled("steady")
        scenario.wait_until_ended()
        scenario.wait_until_settled("steady")
        case = "SIGKILL at each write" + (" of one roll" if one_roll else "")
        result = check_invariants(scenario, case, {"steady": 1})
        result.measurements["kills"] = len(kills)
        return result


def _is_reached(hold: HoldRequest, operator: OperatorProcess) -> bool:
    assert operator.is_alive, f"the operator has ended:\n{operator.tail()}"
    return hold.reached.is_set()


def kill_at_random(
    cluster: DemoCluster, kills: int = 50, seed: int = 5, apps: Sequence[str] = ("a", "b")
) -> FaultResult:
    """Kill at random times, while all workloads are rolled repeatedly."""
    rng = random.Random(seed)
    with FaultScenario(cluster, "killed-random", seed) as scenario:
        for app in apps:
            scenario.create_workload(app)
        for app in apps:
            scenario.wait_until_settled(app)
            scenario.start_load(app)
        operator = scenario.create_operator().start()
        current: dict[str, str] = {}
        phases: dict[str, int] = {}
        for _ in range(kills):
            _create_next_rolls(scenario, apps, current)
            pause(rng.uniform(1.0, 9.0))
            _create_next_rolls(scenario, apps, current)
            pause(rng.uniform(0.0, 1.0))
            operator.kill()
            for roll in current.values():
                phase = scenario.get_phase(roll) or "none"
                phases[phase] = phases.get(phase, 0) + 1
            operator.start()
        scenario.wait_until_ended()
        for app in apps:
            scenario.wait_until_settled(app)
        result = check_invariants(scenario, f"SIGKILL {kills} times at random (seed {seed})", dict.fromkeys(apps, 1))
        result.measurements |= {"kills": kills, "killed in": ", ".join(f"{n} {p}" for p, n in sorted(phases.items()))}
        return result


def _create_next_rolls(scenario: FaultScenario, apps: Sequence[str], current: dict[str, str]) -> None:
    """Create the next roll of each workload whose last one has ended."""
    for app in apps:
        if app in current and scenario.get_phase(current[app]) not in FINAL:
            continue
        serving = scenario.list_serving_pods(app)
        if len(serving) == 1 == len(scenario.list_pods(app)):
            current[app] = f"{app}-{len(scenario.list_rolls())}"
            scenario.create_roll(current[app], serving[0]["metadata"]["name"])
