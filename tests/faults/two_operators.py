"""Two operators: the leader is paused during a roll for longer than its Lease, and the second continues."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo.cluster import wait_for
from tests.faults.api_proxy import FaultRule
from tests.faults.fault_actions import HoldRequest
from tests.faults.fault_scenario import FINAL, FaultScenario
from tests.faults.invariants import check_invariants, evicted_uid, is_action, is_eviction, roll_of
from tests.faults.operator_process import pause
from tests.faults.sigkill import WRITES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.cluster import DemoCluster
    from tests.faults.api_proxy import RequestRecord
    from tests.faults.invariants import FaultResult
    from tests.faults.operator_process import OperatorProcess

LEASE_S = 4.0
AT_RANDOM = ""
LATE_WRITES = ("release", "status Evicting", "own", "evict", "status Succeeded")
"""Writes that are held until the second operator has taken over."""
SLOW_START = {"READY_AFTER_S": "5"}
"""Environment of a service whose roll takes longer than a Lease."""


@dataclass(frozen=True)
class LeaderPause:
    """Pause of a leader; times by the monotonic clock."""

    leader: str
    other: str
    stopped_at: float
    resumed_at: float
    observed_until: float


def pause_leader(cluster: DemoCluster, moments: Sequence[str] = (AT_RANDOM,) * 6, seed: int = 7) -> FaultResult:
    """Suspend the leader at each moment: at a write, which is held on its way to the server, or at random.

    A held write reaches the server after the second operator has taken over: the worst case of a slow network.
    """
    rng = random.Random(seed)
    with FaultScenario(cluster, "two-operators", seed) as scenario:
        scenario.create_workload("steady", environment=SLOW_START)
        scenario.wait_until_settled("steady")
        scenario.start_load("steady")
        operators = _start_two_operators(scenario)
        pauses = []
        for number, moment in enumerate(moments):
            roll = f"roll-{number}"
            leader, other = _find_leader(operators)
            hold = _hold_write(scenario, leader, moment)
            scenario.create_roll(roll, scenario.wait_until_serving("steady")[0])
            if hold is None:
                pause(rng.uniform(0.0, 9.0))
            else:
                wait_for(f"{moment} of {roll}", hold.reached.is_set, 60)
            pauses.append(_pause_until_taken_over(scenario, leader, other, roll, hold))
            scenario.wait_until_ended(roll)
            scenario.wait_until_settled("steady")
        result = check_invariants(scenario, f"leader paused for longer than its Lease (seed {seed})", {"steady": 1})
        _check_late_writes(scenario, pauses, result)
        return result


def _start_two_operators(scenario: FaultScenario) -> list[OperatorProcess]:
    return [scenario.create_operator(name, LEASE_SECONDS=f"{LEASE_S:.0f}").start() for name in ("first", "second")]


def _find_leader(operators: list[OperatorProcess]) -> tuple[OperatorProcess, OperatorProcess]:
    def observe() -> tuple[OperatorProcess, OperatorProcess] | None:
        leaders = [o for o in operators if o.read_metric("memroll_leader") == 1.0]
        return (leaders[0], next(o for o in operators if o is not leaders[0])) if len(leaders) == 1 else None

    found = wait_for("one leader", observe)
    assert found is not None
    return found


def _hold_write(scenario: FaultScenario, leader: OperatorProcess, moment: str) -> HoldRequest | None:
    if moment == AT_RANDOM:
        return None
    hold = HoldRequest(forward=True)
    scenario.proxy.rules.append(FaultRule(hold, process=_process_name(leader), predicate=WRITES[moment], times=1))
    return hold


def _process_name(operator: OperatorProcess) -> str:
    """Return the name of the process in the request log."""
    return operator.name.rpartition("-")[2]


def _pause_until_taken_over(
    scenario: FaultScenario, leader: OperatorProcess, other: OperatorProcess, roll: str, hold: HoldRequest | None
) -> LeaderPause:
    """Suspend the leader until the other has acted, or has the Lease if the roll has ended; then resume it."""
    leader.suspend()
    stopped_at = time.monotonic()
    try:
        wait_for(f"{other.name} to lead", lambda: other.read_metric("memroll_leader") == 1.0, 30)
        wait_for(f"{other.name} to act", partial(_has_acted, scenario, _process_name(other), roll, stopped_at), 60)
        if hold is not None:
            hold.resume()  # the held write arrives now
            pause(0.5)
    finally:
        leader.resume()
    resumed_at = time.monotonic()
    pause(3.0)  # time for late writes of the first
    return LeaderPause(_process_name(leader), _process_name(other), stopped_at, resumed_at, time.monotonic())


def _has_acted(scenario: FaultScenario, process: str, roll: str, since: float) -> bool:
    acted = any(is_action(e) and e.received_at > since for e in scenario.proxy.find_writes(process))
    return acted or scenario.get_phase(roll) in FINAL


def _check_late_writes(scenario: FaultScenario, pauses: list[LeaderPause], result: FaultResult) -> None:
    """Check that nothing of the first is executed after the second's first action."""
    late: list[RequestRecord] = []
    took_over = []
    for p in pauses:
        writes = [e for e in scenario.proxy.find_writes() if p.stopped_at <= e.responded_at <= p.observed_until]
        actions = [e for e in writes if is_action(e)]
        second = [e for e in actions if e.process == p.other]
        if not second:
            continue  # the roll had ended before the pause
        took_over.append(second[0].received_at - p.stopped_at)
        first = [e for e in actions if e.process == p.leader and e.responded_at > second[0].received_at]
        sent_late = [e for e in first if e.received_at > p.resumed_at]
        late += first
        result.errors += [f"sent after the pause: {_describe(e)}" for e in sent_late if e.succeeded]
        executed = [e for e in first if e.succeeded and not _is_repeated_eviction(e, second)]
        result.errors += [f"executed late: {_describe(e)}" for e in executed]
    result.measurements |= {
        "pauses": len(pauses),
        "taken over during a roll": len(took_over),
        "first action after the pause (s)": ", ".join(f"{s:.1f}" for s in took_over),
        "late writes of the first": len(late),
        "of them refused": sum(not e.succeeded for e in late),
        "of them repeats of an eviction": sum(e.succeeded for e in late),
    }


def _is_repeated_eviction(late: RequestRecord, second: list[RequestRecord]) -> bool:
    """Return whether a write only repeats an eviction by the second: of the same roll, and of the same pod by uid."""
    return is_eviction(late) and any(
        is_eviction(e) and e.succeeded and evicted_uid(e) == evicted_uid(late) and roll_of(e) == roll_of(late)
        for e in second
        if e.responded_at < late.responded_at
    )


def _describe(e: RequestRecord) -> str:
    return f"{e.process} {e.method} {e.path} {e.status} {e.body}"[:300]


def delay_eviction_of_canceled_roll(cluster: DemoCluster) -> FaultResult:
    """Hold an eviction until the second operator has restored the pod: the worst late write.

    Without a PodDisruptionBudget only the eviction's own preconditions can prevent it.
    """
    with FaultScenario(cluster, "late-eviction") as scenario:
        scenario.create_workload("steady", budget=False)
        scenario.wait_until_settled("steady")
        operators = _start_two_operators(scenario)
        leader, _ = _find_leader(operators)
        hold = _hold_write(scenario, leader, "evict")
        assert hold is not None
        scenario.create_roll("canceled", scenario.wait_until_serving("steady")[0])
        wait_for("the eviction", hold.reached.is_set, 60)
        leader.suspend()
        try:
            path = f"/apis/memroll.dev/v1alpha1/namespaces/{scenario.namespace}/podrolls/canceled"
            scenario.server.request("PATCH", path, {"spec": {"cancel": True}}, "application/merge-patch+json")
            wait_for("the second operator to restore the pod", lambda: scenario.get_phase("canceled") == "Aborted", 60)
            scenario.wait_until_settled("steady")
            hold.resume()
            pause(1.0)
        finally:
            leader.resume()
        pause(5.0)
        scenario.wait_until_settled("steady")
        case = "an eviction arrives after its roll was canceled and the pod restored"
        result = check_invariants(scenario, case, {"steady": 1})
        uid = scenario.list_rolls()[0]["status"]["podUID"]
        late = [e for e in scenario.proxy.find_writes(_process_name(leader)) if is_eviction(e)]
        result.measurements["status of the late eviction"] = late[0].status if late else "never sent"
        result.errors += ["the restored pod was evicted"] if uid in scenario.deleted_uids else []
        return result
