"""Faults of the API server during rolls: errors, slow, closed or lost responses, expired versions."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo.cluster import wait_for
from tests.e2e import objects
from tests.faults.api_proxy import ApiProxy, FaultRule
from tests.faults.fault_actions import CloseConnection, CutWatch, ExpireWatch, Hang, RespondWithStatus
from tests.faults.fault_scenario import FINAL, FaultScenario
from tests.faults.invariants import check_invariants
from tests.faults.operator_process import pause
from tests.faults.sigkill import WRITES, WRITES_IN_ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memroll_demo.cluster import DemoCluster
    from tests.faults.api_proxy import FaultAction
    from tests.faults.invariants import FaultResult
    from tests.faults.operator_process import OperatorProcess

BURST_S = 10.0
REOPEN_S = 20.0
"""Time in seconds after which watches that reopened without the fault are closed again. Chosen by hand."""
LONG_BURST_S = 75.0
"""Duration in seconds of a burst that outlasts kopf's own retries, which take 54 s."""
WRITE_METHODS = "POST|PUT|PATCH|DELETE"
CONTINUE_TOKEN = "[?&]continue="
ROLL_LIST_PATH = "/podrolls$"


@dataclass(frozen=True)
class RollFault:
    """Fault during a roll: `ratio` of the matching requests fail, or all of them for `burst_s` seconds."""

    actions: tuple[FaultAction, ...]
    ratio: float = 0.3
    burst_s: float = 0.0
    method: str = ""
    path: str = ""
    watches: bool = False
    page_size: int | None = None

    def rules(self) -> list[FaultRule]:
        end, ratio = (time.monotonic() + self.burst_s, 1.0) if self.burst_s else (float("inf"), self.ratio)
        return [
            FaultRule(action, self.method, self.path, watches=self.watches, ratio=ratio, until=end)
            for action in self.actions
        ]


ACTIONS: Mapping[str, FaultAction] = {
    "429 with Retry-After": RespondWithStatus(429, 1),
    "500": RespondWithStatus(500),
    "503": RespondWithStatus(503),
    "no response in time": Hang(),
    "connection closed": CloseConnection(),
}
NO_RESPONSE = "no response in time"
"""Fault that costs a whole timeout. A step needs eight responses: at 3 of 10 only one step in twenty would succeed."""
ROLL_FAULTS: Mapping[str, RollFault] = {
    **{f"{name}, 3 of 10": RollFault((action,)) for name, action in ACTIONS.items() if name != NO_RESPONSE},
    f"{NO_RESPONSE}, 1 of 10": RollFault((ACTIONS[NO_RESPONSE],), 0.1),
    **{f"{name}, all for 10 s": RollFault((action,), burst_s=BURST_S) for name, action in ACTIONS.items()},
    "responses of writes lost, 5 of 10": RollFault((CloseConnection(after=True),), 0.5, method=WRITE_METHODS),
    "responses of writes late, 3 of 10": RollFault((Hang(after=True),), 0.3, method=WRITE_METHODS),
    "watches closed every 2 s": RollFault((CutWatch(),), 1.0, watches=True),
    "watches refused with 410": RollFault((RespondWithStatus(410),), 0.8, watches=True),
    "watches refused with 500, for 75 s": RollFault((RespondWithStatus(500),), burst_s=LONG_BURST_S, watches=True),
    "410 as an event of each watch": RollFault((ExpireWatch(),), 0.8, watches=True),
    "410 on every second page of a list": RollFault((RespondWithStatus(410),), 0.5, path=CONTINUE_TOKEN, page_size=8),
}
SHORT = (
    "500, 3 of 10", "connection closed, all for 10 s", "responses of writes lost, 5 of 10",
    "410 as an event of each watch",
)  # fmt: skip


def roll_under_faults(cluster: DemoCluster, names: Sequence[str] = tuple(ROLL_FAULTS), seed: int = 11) -> FaultResult:
    """Roll the same workload once under each fault, with one process that must not need a restart."""
    with FaultScenario(cluster, "api-faults", seed) as scenario:
        scenario.create_workload("steady")
        scenario.create_workload("beside")  # so that lists have pages
        scenario.wait_until_settled("steady")
        scenario.start_load("steady")
        operator = scenario.create_operator(LEASE_SECONDS="6").start()
        operator.wait_until_leader()
        durations_s: dict[str, float] = {}
        errors: list[str] = []
        for number, name in enumerate(names):
            durations_s[name] = _roll_with_fault(scenario, operator, ROLL_FAULTS[name], f"roll-{number}")
            errors += [] if _was_applied(scenario.proxy.rules) else [f"never applied: {name}"]
            if not operator.is_alive:
                errors.append(f"{name}: the process has ended: {operator.tail(1)}")
                scenario.proxy.rules.clear()
                operator.start()
                scenario.wait_until_ended()
                scenario.wait_until_settled("steady")
        recovered = _roll_with_fault(scenario, operator, RollFault(()), "after")
        result = check_invariants(
            scenario, f"API server with {len(names)} faults (seed {seed})", {"steady": 1, "beside": 1}
        )
        _add_counts(scenario, operator, result)
        result.errors += errors
        result.measurements |= {"restarts": operator.start_count - 1, "normal again after (s)": f"{recovered:.1f}"}
        result.measurements |= {f"roll, {name} (s)": f"{seconds:.0f}" for name, seconds in durations_s.items()}
        return result


def _roll_with_fault(scenario: FaultScenario, operator: OperatorProcess, fault: RollFault, roll: str) -> float:
    """Roll once during the fault, and return the duration in seconds; return early if the process ends."""
    scenario.proxy.page_size = fault.page_size
    scenario.proxy.rules[:] = fault.rules()
    if fault.watches:
        wait_for("a watch with the fault", partial(_reopens_with_fault, scenario.proxy), 150)
    started = time.monotonic()
    scenario.create_roll(roll, scenario.wait_until_serving("steady")[0])
    wait_for(f"the end of {roll}", lambda: scenario.get_phase(roll) in FINAL or not operator.is_alive, 240)
    duration_s = time.monotonic() - started
    pause(max(0.0, fault.burst_s - duration_s))
    if operator.is_alive:
        scenario.wait_until_settled("steady")
    return duration_s


def _was_applied(rules: list[FaultRule]) -> bool:
    return any(rule.hits for rule in rules)


def _reopens_with_fault(proxy: ApiProxy) -> bool:
    """Close the watches from time to time, until the fault, which only a part of them gets, was applied to one."""
    if not _was_applied(proxy.rules) and time.monotonic() - proxy.cut_at > REOPEN_S:
        proxy.cut_watches()
    return _was_applied(proxy.rules)


def _add_counts(scenario: FaultScenario, operator: OperatorProcess, result: FaultResult) -> None:
    counts = Counter(e.fault for e in scenario.proxy.request_log if e.fault)
    result.measurements |= {
        "requests": len(scenario.proxy.request_log),
        "faults": ", ".join(f"{n} {name}" for name, n in sorted(counts.items())),
    }
    bugs = [line for line in operator.log_file.read_text(encoding="utf-8").splitlines() if "bug: handling" in line]
    result.errors += bugs[:3]


def lose_responses(cluster: DemoCluster, writes: Sequence[str] = WRITES_IN_ORDER) -> FaultResult:
    """Lose the response of each kind of write once: the write is carried out, and the operator gets no response."""
    with FaultScenario(cluster, "lost-answers") as scenario:
        scenario.create_workload("steady")
        scenario.wait_until_settled("steady")
        scenario.start_load("steady")
        operator = scenario.create_operator().start()
        operator.wait_until_leader()
        rules = [FaultRule(CloseConnection(after=True), predicate=WRITES[write], times=1) for write in writes]
        scenario.proxy.rules[:] = rules
        scenario.create_roll("roll", scenario.wait_until_serving("steady")[0])
        scenario.wait_until_ended("roll")
        scenario.wait_until_settled("steady")
        result = check_invariants(scenario, "responses of writes lost, one of each", {"steady": 1})
        result.measurements["lost"] = sum(r.hits for r in rules)
        result.errors += [f"never lost: {w}" for w, r in zip(writes, rules, strict=True) if not r.hits]
        _add_counts(scenario, operator, result)
        return result


def lose_creation_response(cluster: DemoCluster) -> FaultResult:
    """Lose the response to the creation of a policy's PodRoll: no second one may be created."""
    with FaultScenario(cluster, "lost-creation") as scenario:
        scenario.create_workload("high", environment={"HOLD_MIB": "80"})
        scenario.wait_until_settled("high")
        operator = scenario.create_operator().start()
        operator.wait_until_leader()
        rule = FaultRule(CloseConnection(after=True), method="POST", path=ROLL_LIST_PATH, times=1)
        scenario.proxy.rules.append(rule)
        scenario.server.create(usage_threshold_policy(scenario.namespace, "high"))
        wait_for("a roll", scenario.list_rolls, 90)
        scenario.wait_until_ended()
        scenario.wait_until_settled("high")
        pause(3 * 5.0)  # three more reconciles: no second PodRoll may follow
        result = check_invariants(scenario, "response to a PodRoll's creation lost", {"high": 1})
        result.measurements["lost"] = rule.hits
        result.errors += [] if len(scenario.list_rolls()) == 1 else [f"{len(scenario.list_rolls())} rolls of one pod"]
        result.errors += [] if rule.hits else ["no response was lost"]
        _add_counts(scenario, operator, result)
        return result


def usage_threshold_policy(namespace: str, app: str, **more: object) -> dict[str, object]:
    """Return a policy that rolls a pod above half of its limit for 10 s, and then has a cooldown of 10 min."""
    roll = {"cooldown": "10m", "budgets": [{"rolls": 50, "per": "1h"}], "replacementTimeout": "60s"}
    return objects.policy(namespace, app, usageThreshold="50%", roll=roll, **more)
