"""Two operators: the leader is paused past its lease while a roll is under way, the second goes on, the first wakes."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo.site import wait_for
from tests.faults.apiproxy import Rule
from tests.faults.audit import audited, evicted_uid, is_act, is_eviction, roll_of
from tests.faults.faults import Holds
from tests.faults.killed import WRITES
from tests.faults.process import pause
from tests.faults.stage import FINAL, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll_demo.site import Site
    from tests.faults.apiproxy import Exchange
    from tests.faults.audit import Result
    from tests.faults.process import Operator

LEASE_S = 4.0
AT_RANDOM = ""
LATE = ("release", "status Evicting", "own", "evict", "status Verifying")
"""Writes that arrive after the second operator has taken over."""
BUSY = {"READY_AFTER_S": "5"}
"""Keeps a roll under way for longer than a lease."""


@dataclass(frozen=True)
class Pause:
    """One pause of a leader, by the monotonic clock."""

    leader: str
    other: str
    stopped_at: float
    resumed_at: float
    watched_until: float


def paused(site: Site, moments: Sequence[str] = (AT_RANDOM,) * 6, seed: int = 7) -> Result:
    """Stop the leader at each moment: at a write (held on its way to the server), or at random.

    A write that is held reaches the server after the second operator has taken over: the worst that a network can do.
    """
    chance = random.Random(seed)
    with Stage(site, "two-operators", seed) as stage:
        stage.workload("steady", environment=BUSY)
        stage.wait_settled("steady")
        stage.load("steady")
        pair = [stage.operator(name, LEASE_SECONDS=f"{LEASE_S:.0f}").start() for name in ("first", "second")]
        pauses = []
        for number, moment in enumerate(moments):
            roll = f"roll-{number}"
            leader, other = _who_leads(pair)
            held = _hold(stage, leader, moment)
            stage.roll(roll, stage.wait_serving("steady")[0])
            if held is None:
                pause(chance.uniform(0.0, 9.0))
            else:
                wait_for(f"{moment} of {roll}", held.reached.is_set, 60)
            pauses.append(_pause(stage, leader, other, roll, held))
            stage.wait_ended(roll)
            stage.wait_settled("steady")
        result = audited(stage, f"leader paused past its lease (seed {seed})", {"steady": 1})
        _check(stage, pauses, result)
        return result


def _who_leads(pair: list[Operator]) -> tuple[Operator, Operator]:
    def look() -> tuple[Operator, Operator] | None:
        leads = [o for o in pair if o.metric("memroll_leader") == 1.0]
        return (leads[0], next(o for o in pair if o is not leads[0])) if len(leads) == 1 else None

    found = wait_for("one leader", look)
    assert found is not None
    return found


def _hold(stage: Stage, leader: Operator, moment: str) -> Holds | None:
    if moment == AT_RANDOM:
        return None
    held = Holds(forward=True)
    stage.proxy.rules.append(Rule(held, process=_port(leader), wanted=WRITES[moment], times=1))
    return held


def _port(operator: Operator) -> str:
    """Return the name by which the ledger knows the process."""
    return operator.name.rpartition("-")[2]


def _pause(stage: Stage, leader: Operator, other: Operator, roll: str, held: Holds | None) -> Pause:
    """Stop the leader until the other has acted (or, when the roll has ended, has taken the Lease); wake it."""
    leader.stop()
    stopped_at = time.monotonic()
    try:
        wait_for(f"{other.name} to lead", lambda: other.metric("memroll_leader") == 1.0, 30)
        wait_for(f"{other.name} to act", partial(_acts, stage, _port(other), roll, stopped_at), 60)
        if held is not None:
            held.let_go()  # the delayed write arrives now
            pause(0.5)
    finally:
        leader.resume()
    resumed_at = time.monotonic()
    pause(3.0)  # whatever it still had in mind
    return Pause(_port(leader), _port(other), stopped_at, resumed_at, time.monotonic())


def _acts(stage: Stage, process: str, roll: str, since: float) -> bool:
    acted = any(is_act(e) and e.at > since for e in stage.proxy.writes(process))
    return acted or stage.phase(roll) in FINAL


def _check(stage: Stage, pauses: list[Pause], result: Result) -> None:
    """After the second's first act, nothing of the first may be carried out; before it, there is only one acting."""
    late: list[Exchange] = []
    took_over = []
    for p in pauses:
        acts = [e for e in stage.proxy.writes() if is_act(e) and p.stopped_at <= e.done_at <= p.watched_until]
        second = [e for e in acts if e.process == p.other]
        if not second:
            continue  # the roll had ended before the stop
        took_over.append(second[0].at - p.stopped_at)
        first = [e for e in acts if e.process == p.leader and e.done_at > second[0].at]
        sent_late = [e for e in first if e.at > p.resumed_at]
        late += first
        result.troubles += [f"sent after it woke: {_words(e)}" for e in sent_late if e.done]
        result.troubles += [f"carried out late: {_words(e)}" for e in first if e.done and not _repeats(e, second)]
    result.figures |= {
        "pauses": len(pauses),
        "taken over in mid-roll": len(took_over),
        "acting after the stop (s)": ", ".join(f"{s:.1f}" for s in took_over),
        "late writes of the first": len(late),
        "of them refused": sum(not e.done for e in late),
        "of them repeats of an eviction": sum(e.done for e in late),
    }


def _repeats(late: Exchange, second: list[Exchange]) -> bool:
    """Whether it only repeats an eviction that the second had carried out: same roll, same pod by its uid."""
    return is_eviction(late) and any(
        is_eviction(e) and e.done and evicted_uid(e) == evicted_uid(late) and roll_of(e) == roll_of(late)
        for e in second
        if e.done_at < late.done_at
    )


def _words(e: Exchange) -> str:
    return f"{e.process} {e.method} {e.path} {e.status} {e.body}"[:300]


def late_eviction_of_a_vetoed_roll(site: Site) -> Result:
    """The worst late write: an eviction on the wire arrives after the second operator has put the pod back.

    Without a budget nothing but its own preconditions can stop it.
    """
    with Stage(site, "late-eviction") as stage:
        stage.workload("steady", budget=False)
        stage.wait_settled("steady")
        pair = [stage.operator(name, LEASE_SECONDS=f"{LEASE_S:.0f}").start() for name in ("first", "second")]
        leader, _ = _who_leads(pair)
        held = _hold(stage, leader, "evict")
        assert held is not None
        stage.roll("vetoed", stage.wait_serving("steady")[0])
        wait_for("the eviction", held.reached.is_set, 60)
        leader.stop()
        try:
            path = f"/apis/memroll.dev/v1alpha1/namespaces/{stage.namespace}/podrolls/vetoed"
            stage.server.ask("PATCH", path, {"spec": {"veto": True}}, "application/merge-patch+json")
            wait_for("the second to put it back", lambda: stage.phase("vetoed") == "Aborted", 60)
            stage.wait_settled("steady")
            held.let_go()
            pause(1.0)
        finally:
            leader.resume()
        pause(5.0)
        stage.wait_settled("steady")
        result = audited(stage, "an eviction arrives after its roll was vetoed and the pod put back", {"steady": 1})
        uid = stage.rolls()[0]["status"]["podUID"]
        late = [e for e in stage.proxy.writes(_port(leader)) if is_eviction(e)]
        result.figures["late eviction answered"] = late[0].status if late else "never sent"
        result.troubles += ["the pod that was put back was evicted after all"] if uid in stage.gone else []
        return result
