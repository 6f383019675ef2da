"""An API server in trouble while pods are rolled: what is refused, late, cut, lost or too old. No restart helps."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from memroll_demo.site import wait_for
from tests.e2e import objects
from tests.faults.apiproxy import Rule
from tests.faults.audit import audited
from tests.faults.faults import Answers, CutsWatch, Drops, Hangs, WatchGone
from tests.faults.killed import IN_ORDER, WRITES
from tests.faults.process import pause
from tests.faults.stage import FINAL, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memroll_demo.site import Site
    from tests.faults.apiproxy import Does
    from tests.faults.audit import Result
    from tests.faults.process import Operator

BURST_S = 10.0
LONG_BURST_S = 75.0
"""Longer than kopf tries again by itself: 54 s."""
WRITING = "POST|PUT|PATCH|DELETE"
CONTINUED = "[?&]continue="
CREATING_ROLL = "/podrolls$"


@dataclass(frozen=True)
class Trouble:
    """Rules that hold during a roll: `share` of what fits all the time, or all of it for `burst_s` seconds."""

    does: tuple[Does, ...]
    share: float = 0.3
    burst_s: float = 0.0
    method: str = ""
    path: str = ""
    watches: bool = False
    page_size: int | None = None

    def rules(self) -> list[Rule]:
        end, share = (time.monotonic() + self.burst_s, 1.0) if self.burst_s else (float("inf"), self.share)
        return [Rule(d, self.method, self.path, watches=self.watches, share=share, until=end) for d in self.does]


BOTH_WAYS: Mapping[str, Does] = {
    "429 with Retry-After": Answers(429, 1),
    "500": Answers(500),
    "503": Answers(503),
    "no answer in time": Hangs(),
    "connection cut": Drops(),
}
SLOWEST = "no answer in time"
"""Each costs its whole time-out, and a step needs eight answers: at 3 of 10 one step in twenty would get through."""
TROUBLES: Mapping[str, Trouble] = {
    **{f"{name}, 3 of 10": Trouble((does,)) for name, does in BOTH_WAYS.items() if name != SLOWEST},
    f"{SLOWEST}, 1 of 10": Trouble((BOTH_WAYS[SLOWEST],), 0.1),
    **{f"{name}, all for 10 s": Trouble((does,), burst_s=BURST_S) for name, does in BOTH_WAYS.items()},
    "answers of writes lost, 5 of 10": Trouble((Drops(after=True),), 0.5, method=WRITING),
    "answers of writes late, 3 of 10": Trouble((Hangs(after=True),), 0.3, method=WRITING),
    "watches cut each 2 s": Trouble((CutsWatch(),), 1.0, watches=True),
    "watches refused with 410": Trouble((Answers(410),), 0.8, watches=True),
    "watches refused with 500, for 75 s": Trouble((Answers(500),), burst_s=LONG_BURST_S, watches=True),
    "410 as an event of each watch": Trouble((WatchGone(),), 0.8, watches=True),
    "410 on every second page of a list": Trouble((Answers(410),), 0.5, path=CONTINUED, page_size=8),
}
SHORT = (
    "500, 3 of 10", "connection cut, all for 10 s", "answers of writes lost, 5 of 10", "410 as an event of each watch",
)  # fmt: skip


def troubled(site: Site, names: Sequence[str] = tuple(TROUBLES), seed: int = 11) -> Result:
    """Roll the same workload once under each trouble, by one process that must never need a restart."""
    with Stage(site, "api-faults", seed) as stage:
        stage.workload("steady")
        stage.workload("beside")  # so that lists have pages
        stage.wait_settled("steady")
        stage.load("steady")
        operator = stage.operator(LEASE_SECONDS="6").start()
        operator.wait_leader()
        took: dict[str, float] = {}
        troubles: list[str] = []
        for number, name in enumerate(names):
            took[name] = _roll_under(stage, operator, TROUBLES[name], f"roll-{number}")
            troubles += [] if _met(stage.proxy.rules) else [f"never met: {name}"]
            if not operator.alive:
                troubles.append(f"{name}: the process has ended: {operator.tail(1)}")
                stage.proxy.rules.clear()
                operator.start()
                stage.wait_ended()
                stage.wait_settled("steady")
        recovered = _roll_under(stage, operator, Trouble(()), "after")
        result = audited(
            stage, f"API server in {len(names)} kinds of trouble (seed {seed})", {"steady": 1, "beside": 1}
        )
        _count(stage, operator, result)
        result.troubles += troubles
        result.figures |= {"restarts": operator.starts - 1, "normal again after (s)": f"{recovered:.1f}"}
        result.figures |= {f"roll, {name} (s)": f"{seconds:.0f}" for name, seconds in took.items()}
        return result


def _roll_under(stage: Stage, operator: Operator, trouble: Trouble, roll: str) -> float:
    """Roll once while the trouble lasts; return how long it took. Ends early when the process does."""
    stage.proxy.page_size = trouble.page_size
    stage.proxy.rules[:] = trouble.rules()
    if trouble.watches:
        stage.proxy.cut_watches()
        wait_for("a watch to meet it", partial(_met, stage.proxy.rules), 90)
    began = time.monotonic()
    stage.roll(roll, stage.wait_serving("steady")[0])
    wait_for(f"the end of {roll}", lambda: stage.phase(roll) in FINAL or not operator.alive, 240)
    took_s = time.monotonic() - began
    pause(max(0.0, trouble.burst_s - took_s))
    if operator.alive:
        stage.wait_settled("steady")
    return took_s


def _met(rules: list[Rule]) -> bool:
    return any(rule.hits for rule in rules)


def _count(stage: Stage, operator: Operator, result: Result) -> None:
    faults = Counter(e.fault for e in stage.proxy.ledger if e.fault)
    result.figures |= {
        "requests": len(stage.proxy.ledger),
        "faults": ", ".join(f"{n} {name}" for name, n in sorted(faults.items())),
    }
    bugs = [line for line in operator.log.read_text(encoding="utf-8").splitlines() if "a bug: work on" in line]
    result.troubles += bugs[:3]


def lost_answers(site: Site, writes: Sequence[str] = IN_ORDER) -> Result:
    """Lose the answer of each kind of write once, for sure: the write happened and the operator does not know."""
    with Stage(site, "lost-answers") as stage:
        stage.workload("steady")
        stage.wait_settled("steady")
        stage.load("steady")
        operator = stage.operator().start()
        operator.wait_leader()
        rules = [Rule(Drops(after=True), wanted=WRITES[write], times=1) for write in writes]
        stage.proxy.rules[:] = rules
        stage.roll("roll", stage.wait_serving("steady")[0])
        stage.wait_ended("roll")
        stage.wait_settled("steady")
        result = audited(stage, "answers of writes lost, one of each", {"steady": 1})
        result.figures["lost"] = sum(r.hits for r in rules)
        result.troubles += [f"never lost: {w}" for w, r in zip(writes, rules, strict=True) if not r.hits]
        _count(stage, operator, result)
        return result


def lost_creation(site: Site) -> Result:
    """A policy's PodRoll is created, but the answer is lost: one roll it stays."""
    with Stage(site, "lost-creation") as stage:
        stage.workload("high", environment={"HOLD_MIB": "80"})
        stage.wait_settled("high")
        operator = stage.operator().start()
        operator.wait_leader()
        rule = Rule(Drops(after=True), method="POST", path=CREATING_ROLL, times=1)
        stage.proxy.rules.append(rule)
        stage.server.create(ceiling_policy(stage.namespace, "high"))
        wait_for("a roll", stage.rolls, 90)
        stage.wait_ended()
        stage.wait_settled("high")
        pause(3 * 5.0)  # three more passes: it must stay at one
        result = audited(stage, "answer of a PodRoll's creation lost", {"high": 1})
        result.figures["lost"] = rule.hits
        result.troubles += [] if len(stage.rolls()) == 1 else [f"{len(stage.rolls())} rolls of one pod"]
        result.troubles += [] if rule.hits else ["no answer was lost"]
        _count(stage, operator, result)
        return result


def ceiling_policy(namespace: str, app: str, **more: object) -> dict[str, object]:
    """Return a policy that rolls a pod which holds more than half of its limit for 10 s, and then rests."""
    roll = {"cooldown": "10m", "budgets": [{"rolls": 50, "per": "1h"}], "replacementTimeout": "60s"}
    return objects.policy(namespace, app, ceiling="50%", roll=roll, **more)
