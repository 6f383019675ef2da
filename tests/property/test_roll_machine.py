"""Whatever happens in whatever order, a roll ends, costs nothing, and leaves nothing behind.

Two processes of memroll work on a model of a cluster (tests/model), call by call. Between any two of their calls
they die, lose the API server, or wait while the other one and everybody else go on. MEMROLL_EXAMPLES=20000 runs
so many stories instead of the few of every day.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.objects import CRASHING, GOOD, MISSING, NEVER_READY, name_of, uid_of
from tests.model.world import World

EXAMPLES = int(os.environ.get("MEMROLL_EXAMPLES", "150"))


@dataclass(frozen=True)
class Event:
    """One thing that happens: a method of World, with what is drawn for it."""

    what: str
    given: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        parts = [*map(repr, self.given), *(f"{k}={v!r}" for k, v in self.named)]
        return f"world.{self.what}({', '.join(parts)})"

    def happen(self, world: World) -> None:
        getattr(world, self.what)(*self.given, **dict(self.named))


def event(what: str, *drawn: st.SearchStrategy[Any], **named: Any) -> st.SearchStrategy[Event]:
    return st.builds(Event, st.just(what), st.tuples(*drawn), st.just(tuple(named.items())))


PICK = st.integers(0, 3)
PROCESS = st.integers(0, 1)
TRUTH = st.booleans()
FATES = st.sampled_from([GOOD, MISSING, CRASHING, NEVER_READY, ""])
ROLLS = st.builds(
    lambda pick, strategy, more: Event("roll", (pick, strategy), tuple((k, v) for k, v in more.items() if v)),
    PICK,
    st.sampled_from(["Auto", "Auto", "Surge", "Evict", "Restart"]),
    st.fixed_dictionaries({"by_policy": TRUTH, "drain": st.sampled_from(["", "time", "idle"]), "urgent": TRUTH}),
)
BUDGETS: tuple[dict[str, Any], ...] = (
    {},
    {"minAvailable": 1},
    {"maxUnavailable": 0},
    {"maxUnavailable": 1},
    {"minAvailable": "100%"},
)
CONTROLLERS = ("deployment", "replicaset", "garbage", "scheduler", "kubelet", "disruption")

MEMROLLS = st.one_of(
    ROLLS,
    event("step", PROCESS, PICK),
    event("step", PROCESS, PICK),
    event("go_on", PROCESS, st.integers(1, 5)),
    event("go_on", PROCESS, st.integers(1, 5)),
    event("begin", PROCESS, PICK),
    event("ask", PROCESS),
    event("finish", PROCESS),
    event("die", PROCESS, TRUTH),
    event("lose", PROCESS, TRUTH),
    event("lead", PROCESS, TRUTH),
)
CLUSTERS = st.one_of(
    event("rounds", st.integers(1, 6)),
    event("rounds", st.integers(1, 6)),
    event("run", st.sampled_from(CONTROLLERS)),
    event("wait", st.integers(1, 20)),
)
USERS = st.one_of(
    event("veto", PICK),
    event("retire"),
    event("load", st.none() | st.sampled_from([0, 3])),
    event("delete_roll", PICK),
    event("policy", suspend=True),
    event("policy", suspend=False),
    event("policy", mode="Observe"),
    event("policy"),
    event("scale", st.integers(0, 4)),
    event("roll_out", st.sampled_from([GOOD, "chat:better", MISSING, NEVER_READY])),
    *(event("protect", **budget) for budget in BUDGETS),
    event("limit", st.none() | st.integers(0, 5)),
    event("delete_deployment", TRUTH),
    event("delete_namespace"),
    event("label_back", PICK),
)
TROUBLES = st.one_of(
    event("cordon", TRUTH),
    event("drain_node", PICK),
    event("evict", PICK),
    event("delete_pod", PICK),
    event("reborn", PICK),
    event("newcomers", FATES),
    event("sicken", PICK, TRUTH),
    event("restart", PICK),
    event("touch", PICK),
)
EVENTS = st.one_of(MEMROLLS, MEMROLLS, CLUSTERS, USERS, TROUBLES)
ONWARDS = event("go_on", PROCESS, st.integers(1, 4))
CHAPTERS = st.tuples(st.lists(EVENTS, max_size=5), st.lists(ONWARDS, max_size=2))
STORIES = st.lists(CHAPTERS, max_size=10).map(lambda parts: [e for part in parts for events in part for e in events])
"""What happens, and that it goes on: in chapters, so that rolls get far before something else happens."""
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize="MEMROLL_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@given(
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from(BUDGETS),
    ROLLS,
    STORIES,
)
@SETTINGS
def test_whatever_happens_a_roll_ends_and_leaves_nothing_behind(
    replicas: int, slack: int, protection: dict[str, Any], first: Event, story: list[Event]
) -> None:
    world = World(replicas, slack, protection)
    try:
        for each in (first, *story):
            each.happen(world)
        world.calm_down()
        judge(world)
    finally:
        world.close()


def judge(world: World) -> None:
    """Judge the end of a story; what must never happen on the way is judged by the witness."""
    alive = {uid_of(p): p for p in world.cluster.living()}
    endless = [(s.get("phase"), s.get("reason")) for r in world.active() if not _is_hopeless(world, s := r["status"])]
    assert not endless, f"rolls do not end: {endless}"
    assert not world.strays(), f"strays: {world.strays()}"
    for roll in (r for r in world.rolls() if r not in world.active()):
        status = roll["status"]
        uid = status.get("podUID", "")
        if status["phase"] == "Succeeded":
            assert uid not in alive
        elif uid not in alive and "verifying" not in status.get("times", {}):
            _, by = world.witness.ended.get(uid, ("", ""))
            assert by != name_of(roll), f"{by} ended {status['phase']}, and evicted its pod"


def _is_hopeless(world: World, status: dict[str, Any]) -> bool:
    return any(uid_of(p) == status.get("podUID") and world.is_hopeless(p) for p in world.cluster.living())
