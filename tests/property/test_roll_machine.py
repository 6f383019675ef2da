"""Every roll ends without losing a Ready pod and without a trace, for any sequence of events.

Afterwards every pod could be rolled, or a gate names what blocks it: no roll that has ended holds up another one.

Two processes of memroll work on a model of a cluster (tests/model), request by request. Between any two requests
they are killed, lose the API server, or wait while the other process and all controllers continue.
MEMROLL_EXAMPLES=20000 runs that many sequences instead of the default.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memroll.api.pod_roll import PodRoll
from tests.model.final_state import find_orphaned_pods, find_unexplained_pods
from tests.model.objects import CRASHING, GOOD, MISSING, NEVER_READY, name_of, uid_of
from tests.model.roll_simulation import RollSimulation

EXAMPLES = int(os.environ.get("MEMROLL_EXAMPLES", "150"))


@dataclass(frozen=True)
class SimulatedEvent:
    """Event: a method of RollSimulation with drawn arguments."""

    method: str
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        parts = [*map(repr, self.arguments), *(f"{k}={v!r}" for k, v in self.keywords)]
        return f"simulation.{self.method}({', '.join(parts)})"

    def apply(self, simulation: RollSimulation) -> None:
        getattr(simulation, self.method)(*self.arguments, **dict(self.keywords))


def event(method: str, *strategies: st.SearchStrategy[Any], **keywords: Any) -> st.SearchStrategy[SimulatedEvent]:
    return st.builds(SimulatedEvent, st.just(method), st.tuples(*strategies), st.just(tuple(keywords.items())))


INDEX = st.integers(0, 3)
PROCESS = st.integers(0, 1)
BOOLEAN = st.booleans()
BEHAVIORS = st.sampled_from([GOOD, MISSING, CRASHING, NEVER_READY, ""])
ROLLS = st.builds(
    lambda index, strategy, options: SimulatedEvent(
        "create_roll", (index, strategy), tuple((k, v) for k, v in options.items() if v)
    ),
    INDEX,
    st.sampled_from(["Auto", "Auto", "Surge", "Evict", "Restart"]),
    st.fixed_dictionaries({"by_policy": BOOLEAN, "drain": st.sampled_from(["", "time", "idle"]), "urgent": BOOLEAN}),
)
BUDGETS: tuple[dict[str, Any], ...] = (
    {},
    {"minAvailable": 1},
    {"maxUnavailable": 0},
    {"maxUnavailable": 1},
    {"minAvailable": "100%"},
)
CONTROLLERS = ("deployment", "replicaset", "garbage", "scheduler", "kubelet", "disruption")

BREAKABLE = (
    "get_pod", "find_workload", "list_pods", "list_workload_pods", "dry_run_eviction",
    "release", "restore", "add_owner", "detach", "evict", "leave_to_workload", "prefer_deletion",
)  # fmt: skip
"""Methods of the client that a bug can be in: those that read, and those that write pods."""

MEMROLL_EVENTS = st.one_of(
    ROLLS,
    event("step", PROCESS, INDEX),
    event("step", PROCESS, INDEX),
    event("continue_rolls", PROCESS, st.integers(1, 5)),
    event("continue_rolls", PROCESS, st.integers(1, 5)),
    event("begin_step", PROCESS, INDEX),
    event("send_next_request", PROCESS),
    event("finish_step", PROCESS),
    event("kill", PROCESS, BOOLEAN),
    event("lose_request", PROCESS, BOOLEAN),
    event("set_leader", PROCESS, BOOLEAN),
    event("break_method", PROCESS, st.sampled_from(BREAKABLE), BOOLEAN),
    event("mend", PROCESS),
)
CLUSTER_EVENTS = st.one_of(
    event("run_rounds", st.integers(1, 6)),
    event("run_rounds", st.integers(1, 6)),
    event("run_controller", st.sampled_from(CONTROLLERS)),
    event("advance_time", st.integers(1, 20)),
)
USER_EVENTS = st.one_of(
    event("cancel_roll", INDEX),
    event("uninstall"),
    event("set_load", st.none() | st.sampled_from([0, 3])),
    event("delete_roll", INDEX),
    event("change_policy", suspend=True),
    event("change_policy", suspend=False),
    event("change_policy", mode="Observe"),
    event("change_policy"),
    event("scale", st.integers(0, 4)),
    event("roll_out", st.sampled_from([GOOD, "chat:better", MISSING, NEVER_READY])),
    *(event("set_budget", **budget) for budget in BUDGETS),
    event("set_second_budget", BOOLEAN),
    event("set_quota", st.none() | st.integers(0, 5)),
    event("delete_deployment", BOOLEAN),
    event("delete_namespace"),
    event("restore_label_by_hand", INDEX),
)
FAILURE_EVENTS = st.one_of(
    event("cordon", BOOLEAN),
    event("drain_node", INDEX),
    event("evict", INDEX),
    event("delete_pod", INDEX),
    event("recreate_pod", INDEX),
    event("set_new_pod_image", BEHAVIORS),
    event("set_pod_unready", INDEX, BOOLEAN),
    event("set_pod_stuck", INDEX, BOOLEAN),
    event("restart_container", INDEX),
    event("annotate_pod", INDEX),
)
EVENTS = st.one_of(MEMROLL_EVENTS, MEMROLL_EVENTS, CLUSTER_EVENTS, USER_EVENTS, FAILURE_EVENTS)
PROGRESS = event("continue_rolls", PROCESS, st.integers(1, 4))
EPISODES = st.tuples(st.lists(EVENTS, max_size=5), st.lists(PROGRESS, max_size=2))
SEQUENCES = st.lists(EPISODES, max_size=10).map(lambda parts: [e for part in parts for events in part for e in events])
"""Sequences of events, in episodes that end with steps of the rolls, so that rolls advance between events."""
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,  # the time that an example takes depends on what else runs on the machine
    derandomize="MEMROLL_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from(BUDGETS),
    ROLLS,
    SEQUENCES,
)
@SETTINGS
def test_every_roll_ends_and_leaves_no_trace(
    replicas: int, spare_capacity: int, budget: dict[str, Any], first: SimulatedEvent, events: list[SimulatedEvent]
) -> None:
    simulation = RollSimulation(replicas, spare_capacity, budget)
    try:
        for event_ in (first, *events):
            event_.apply(simulation)
        simulation.run_until_settled()
        check_final_state(simulation)
    finally:
        simulation.close()


@given(
    st.integers(1, 3),
    ROLLS,
    st.integers(0, 12),
    st.lists(EVENTS, max_size=4),
    st.tuples(st.sampled_from(BREAKABLE), BOOLEAN),
)
@SETTINGS
def test_every_roll_ends_although_a_bug_of_memroll_stays(
    replicas: int, first: SimulatedEvent, steps: int, events: list[SimulatedEvent], bug: tuple[str, bool]
) -> None:
    simulation = RollSimulation(replicas, 1)
    try:
        first.apply(simulation)
        simulation.continue_rolls(0, steps)
        for event_ in events:
            event_.apply(simulation)
        for process in range(2):
            simulation.finish_step(process)
            simulation.break_method(process, *bug)
        simulation.run_until_settled()
        check_final_state(simulation)
    finally:
        simulation.close()


def check_final_state(simulation: RollSimulation) -> None:
    """Check the state after a sequence; every write was checked when it happened."""
    alive = {uid_of(p): p for p in simulation.cluster.list_undeleted_pods()}
    unended = [(r["status"].get("phase"), r["status"].get("reason")) for r in simulation.list_active_rolls()]
    assert not unended, f"rolls do not end: {unended}"
    unexplained = find_unexplained_pods(simulation)
    assert not unexplained, f"due pods are neither rolled nor blocked with a reason: {unexplained}"
    assert not find_orphaned_pods(simulation), f"orphaned pods: {find_orphaned_pods(simulation)}"
    for roll in (r for r in simulation.list_rolls() if r not in simulation.list_active_rolls()):
        status = roll["status"]
        uid = status.get("podUID", "")
        if status["phase"] == "Succeeded":
            assert uid not in alive
        elif uid not in alive and "verifying" not in status.get("times", {}):
            _, roll_name = simulation.checker.deletions.get(uid, ("", ""))
            if not PodRoll.read(roll).has_used_budget:  # a bug can hide the effect of an eviction, which counts then
                assert roll_name != name_of(roll), f"{roll_name} ended {status['phase']}, and evicted its pod"


def test_a_released_pod_goes_with_its_workload_although_a_budget_blocks_its_eviction() -> None:
    """The replacement is Ready: the pod belongs to its PodRoll, so the garbage collector keeps it at first."""
    simulation = RollSimulation(1, 1, {"minAvailable": 2})
    try:
        simulation.create_roll(0, "Surge")
        simulation.continue_rolls(0, 12)
        (roll,) = simulation.list_rolls()
        assert roll["status"]["phase"] == "Evicting"
        simulation.delete_deployment(recreate=False)
        simulation.run_until_settled()
        assert simulation.cluster.list_undeleted_pods() == []
        check_final_state(simulation)
    finally:
        simulation.close()
