"""SIGKILL: at every single write of a roll, before the server has it and before the process knows; and at random."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo.site import wait_for
from tests.faults.apiproxy import Rule
from tests.faults.audit import audited, is_eviction, is_evidence, is_own, is_release, is_status
from tests.faults.faults import Holds
from tests.faults.process import pause
from tests.faults.stage import FINAL, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll_demo.site import Site
    from tests.faults.apiproxy import Exchange
    from tests.faults.audit import Result
    from tests.faults.process import Operator

PHASES = ("Announced", "CapturingEvidence", "Replacing", "Evicting", "Verifying", "Succeeded")
WRITES: dict[str, Callable[[Exchange], bool]] = {
    **{f"status {phase}": partial(is_status, phase) for phase in PHASES},
    "evidence": is_evidence,
    "release": is_release,
    "own": is_own,
    "evict": is_eviction,
}
IN_ORDER = (
    "status Announced", "status CapturingEvidence", "evidence", "status Replacing", "release", "status Evicting", "own",
    "evict", "status Verifying", "status Succeeded",
)  # fmt: skip
"""The writes of a surge as they come."""
POINTS = tuple((write, after) for write in IN_ORDER for after in (False, True))
AROUND_THE_ACTS = (("release", False), ("release", True), ("own", True), ("evict", False), ("evict", True))


def at_each_write(site: Site, points: Sequence[tuple[str, bool]] = POINTS, *, one_roll: bool = False) -> Result:
    """Kill at each point: `False` before the server sees the write, `True` after it did it, its answer still held.

    `one_roll`: at all points of the same roll, one after the other; otherwise each has a roll of its own.
    """
    with Stage(site, "killed-at") as stage:
        stage.workload("steady")
        stage.wait_settled("steady")
        stage.load("steady")
        operator = stage.operator().start()
        killed: list[str] = []
        for number, (write, after) in enumerate(points):
            roll = "roll-0" if one_roll else f"roll-{number}"
            hold = Holds(after)
            rule = Rule(hold, wanted=WRITES[write], times=1)
            stage.proxy.rules.append(rule)
            if not (one_roll and number):
                operator.wait_leader()
                stage.roll(roll, stage.wait_serving("steady")[0])
            wait_for(f"{write} of {roll}", partial(_reached, hold, operator), 90)
            operator.kill()
            hold.let_go()
            stage.proxy.rules.remove(rule)
            killed.append(f"{'after' if after else 'before'} {write}")
            operator.start()
            if not one_roll:
                stage.wait_ended(roll)
                stage.wait_settled("steady")
        stage.wait_ended()
        stage.wait_settled("steady")
        result = audited(stage, "SIGKILL at each write" + (" of one roll" if one_roll else ""), {"steady": 1})
        result.figures["kills"] = len(killed)
        return result


def _reached(hold: Holds, operator: Operator) -> bool:
    assert operator.alive, f"the operator has ended:\n{operator.tail()}"
    return hold.reached.is_set()


def at_random(site: Site, kills: int = 50, seed: int = 5, apps: Sequence[str] = ("a", "b")) -> Result:
    """Kill at random moments while the workloads are rolled again and again, at the same time."""
    chance = random.Random(seed)
    with Stage(site, "killed-random", seed) as stage:
        for app in apps:
            stage.workload(app)
        for app in apps:
            stage.wait_settled(app)
            stage.load(app)
        operator = stage.operator().start()
        current: dict[str, str] = {}
        phases: dict[str, int] = {}
        for _ in range(kills):
            _keep_rolling(stage, apps, current)
            pause(chance.uniform(1.0, 9.0))
            _keep_rolling(stage, apps, current)
            pause(chance.uniform(0.0, 1.0))
            operator.kill()
            for roll in current.values():
                phase = stage.phase(roll) or "none"
                phases[phase] = phases.get(phase, 0) + 1
            operator.start()
        stage.wait_ended()
        for app in apps:
            stage.wait_settled(app)
        result = audited(stage, f"SIGKILL {kills} times at random (seed {seed})", dict.fromkeys(apps, 1))
        result.figures |= {"kills": kills, "killed in": ", ".join(f"{n} {p}" for p, n in sorted(phases.items()))}
        return result


def _keep_rolling(stage: Stage, apps: Sequence[str], current: dict[str, str]) -> None:
    """Ask for the next roll of each workload whose last one has ended."""
    for app in apps:
        if app in current and stage.phase(current[app]) not in FINAL:
            continue
        serving = stage.serving(app)
        if len(serving) == 1 == len(stage.pods(app)):
            current[app] = f"{app}-{len(stage.rolls())}"
            stage.roll(current[app], serving[0]["metadata"]["name"])
