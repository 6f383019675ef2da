"""Which rolls a pass learns of, what it reads for them, and what it leaves for the next one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from memroll.api.pod_roll import Effect, PodRoll
from memroll.api.policy import Mode
from memroll.detection.assessment import Assessment
from memroll.detection.samples import Reading, SeriesRow
from memroll.detection.series import Series
from memroll.detection.verdict import Code, Healthy, Inconclusive
from memroll.errors import ClusterUnavailable, Conflict, NotFound, PrometheusUnavailable, Stalled
from memroll.reconcile.effect import COMPARED_MOST, learn
from memroll.reporting.outcome import Outcome
from tests.builders import LIMIT, MIB, NOW, WORKLOAD_REF, at, container, pod, policy, roll_json

GROWTH = {"perHour": "50%", "window": "60s", "warmUp": "20s", "persist": "10s"}
RECORDS: dict[str, dict[str, Any]] = {}
"""The PodRolls as the cluster holds them, by name: a write of the status answers with the whole object."""
HEALTHY = Healthy(Code.NOT_GROWING, "", None, 1.0)


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def rolled(n: int = 1, *, new: str = "", ended_s: float = -200, pod_name: str = "", **status: Any) -> PodRoll:
    """Build the successful roll of pod old-n, which had lived for 1000 s, by new-n."""
    new, old = new or f"new-{n}", pod_name or f"old-{n}"
    finding = {
        "container": "app", "usageBytes": 110 * MIB, "limitBytes": LIMIT, "containerStarted": stamp(ended_s - 1010),
    }  # fmt: skip
    raw = roll_json(
        "Succeeded",
        created=at(ended_s - 10),
        spec={"podName": old, "podUID": f"uid-{old}-before", "finding": finding},
        **{
            "strategy": "Surge",
            "replacement": {"name": new, "uid": f"uid-{new}"},
            "times": {"finished": stamp(ended_s)},
            "workload": WORKLOAD_REF | {"name": f"w-{n}"},
        }
        | status,
    )
    raw["metadata"] |= {"name": f"roll-{n}", "uid": f"roll-{n}"}
    RECORDS[f"roll-{n}"] = raw
    return PodRoll.read(raw)


def running(name: str, age_s: float = 100, verdict: Any = HEALTHY, **changes: Any) -> Assessment:
    own = container(id=f"id-{name}", started_at=at(-age_s), **changes)
    return Assessment(pod(name, containers=(own,)), own, verdict)


def outcome(rolls, assessments, **changes) -> Outcome:
    made = Outcome(policy(growth=GROWTH), NOW, len(assessments), tuple(assessments), rolls=tuple(rolls))
    return replace(made, **changes)


def samples(start_s: float, rate: float, base: float = 20.0, lived_s: float = 1000) -> Series:
    """Build usage that grows by `rate` MiB per second from `start_s` (from NOW) on."""
    ages = np.arange(0.0, lived_s + 1, 2.0)
    return Series(NOW.timestamp() + start_s + ages, (base + rate * ages) * MIB)


class Prom:
    """Answers as a server does: what it holds of the named pods in the span."""

    def __init__(self, *rows: SeriesRow, fails: dict[str, Exception] | None = None) -> None:
        self.rows, self.fails = rows, fails or {}
        self.asked: list[tuple[tuple[str, ...], float, float]] = []

    async def screen(self, *_: Any) -> Any:
        raise AssertionError("learning screens nothing")

    async def read(self, connection, namespace, pods, span, at_s, like=(), *, load_metric=None) -> Reading:
        self.asked.append((tuple(pods), at_s - NOW.timestamp(), span.lookback_s))
        for name in pods:
            if name in self.fails:
                raise self.fails[name]
        held = [r for r in self.rows if r.pod in pods]
        cut = [(r, *(s.between(at_s - span.lookback_s, at_s) for s in (r.rss, r.working_set))) for r in held]
        return Reading(tuple(replace(r, rss=a, working_set=b) for r, a, b in cut if len(a)), at_s)


def row(name: str, held: Series, id_: str | None = None) -> SeriesRow:
    return SeriesRow(name, "app", f"id-{name}" if id_ is None else id_, held, held)


class Store:
    """Takes status writes, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.written: dict[str, dict[str, Any]] = {}

    async def write_status(self, plural, namespace, name, resource_version, status) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        assert (plural, namespace, resource_version) == ("podrolls", "demo", "3")
        self.written[name] = status
        return RECORDS[name] | {"status": status}


LEAKS = (row("old-1", samples(-1210, 0.1)), row("new-1", samples(-100, 0.1, lived_s=100)))


async def test_a_roll_is_judged_at_equal_age_and_written():
    prom, store = Prom(*LEAKS), Store()
    found = await learn(outcome([rolled()], [running("new-1")]), store, prom)
    assert prom.asked == [(("new-1",), 0.0, 100.0), (("old-1",), -1210 + 80, 80.0)]
    memory = store.written["roll-1"]["memory"]
    assert memory["effect"] == "LeakPersists"
    assert memory["growthBeforeBytesPerHour"] == pytest.approx(360 * MIB, abs=9)
    assert memory["growthAfterBytesPerHour"] == pytest.approx(360 * MIB, abs=9)
    assert memory["ageSeconds"] == 80
    assert [r.name for r in found.learned] == ["roll-1"]
    assert found.rolls == found.learned, "the status of the policy is made of what was just written"


async def test_the_memory_after_warm_up_is_written_before_the_growth_is_known():
    prom, store = Prom(*LEAKS), Store()
    found = await learn(outcome([rolled()], [running("new-1", 30)]), store, prom)
    assert store.written["roll-1"]["memory"]["beforeBytes"] == 110 * MIB
    assert "judged" not in store.written["roll-1"]["memory"]
    assert found.learned == (), "nothing is told yet"
    (now,) = found.rolls
    prom.asked.clear()
    again = await learn(outcome([now], [running("new-1", 40)]), store, prom)
    assert prom.asked == [], "and nothing is read until it is old enough"
    assert again.rolls == (now,)


async def test_a_young_replacement_costs_nothing():
    prom, store = Prom(*LEAKS), Store()
    await learn(outcome([rolled()], [running("new-1", 24)]), store, prom)
    assert (prom.asked, store.written) == ([], {})


async def test_what_is_judged_is_not_asked_for_again():
    prom, store = Prom(*LEAKS), Store()
    first = await learn(outcome([rolled()], [running("new-1")]), store, prom)
    prom.asked.clear()
    store.written.clear()
    await learn(outcome(first.rolls, [running("new-1")]), store, prom)
    assert (prom.asked, store.written) == ([], {})


DONE = [
    pytest.param({}, [], "was gone, or not watched any more", id="the replacement is gone"),
    pytest.param({}, [running("new-1", restarts=1)], "was restarted", id="its container was restarted"),
    pytest.param({"strategy": "Restart"}, [running("new-1")], "the whole workload was restarted", id="Restart"),
]


@pytest.mark.parametrize(("status", "seen", "words"), DONE)
async def test_doubt_is_settled_without_reading(status, seen, words):
    prom, store = Prom(*LEAKS), Store()
    found = await learn(outcome([rolled(**status)], [running("other"), *seen]), store, prom)
    memory = store.written["roll-1"]["memory"]
    assert words in memory["message"]
    assert "effect" not in memory
    assert memory["judged"] == "2026-03-01T12:00:00Z"
    assert prom.asked == []
    assert len(found.learned) == 1, "counted as unknown"


async def test_only_successful_rolls_are_learnt_of():
    others = [replace_phase(rolled(n), phase) for n, phase in enumerate(("Failed", "Aborted", "Verifying"))]
    prom, store = Prom(*LEAKS), Store()
    await learn(outcome(others, [running("new-1")]), store, prom)
    assert (prom.asked, store.written) == ([], {})


def replace_phase(of: PodRoll, phase: str) -> PodRoll:
    return PodRoll.read(roll_json(phase, spec=of.spec.on_the_wire(), workload=WORKLOAD_REF))


@pytest.mark.parametrize("named", [True, False], ids=["with IDs", "labels without IDs"])
async def test_a_statefulset_s_pod_that_comes_back_under_its_name_is_told_from_its_predecessors(named):
    """db-0 was there three times: before, the one that was rolled (it leaked), and now (it doesn't)."""
    before, old, new = samples(-3000, 0, 90, 1788), samples(-1210, 0.1), samples(-100, 0.0, 30, 100)
    ids = ("id-first", "id-second", "id-db-0")
    if named:
        rows = [row("db-0", s, i) for s, i in zip((before, old, new), ids, strict=True)]
    else:
        parts = (before, old, new)
        joined = Series(np.concatenate([s.times_s for s in parts]), np.concatenate([s.values for s in parts]))
        rows = [row("db-0", joined, "")]
    store = Store()
    of = rolled(new="db-0", pod_name="db-0", strategy="Evict")
    await learn(outcome([of], [running("db-0")]), store, Prom(*rows))
    memory = store.written["roll-1"]["memory"]
    assert memory["effect"] == "Helped"
    assert memory["growthBeforeBytesPerHour"] == pytest.approx(360 * MIB, abs=9)
    assert memory["growthAfterBytesPerHour"] == 0
    assert memory["afterBytes"] == 30 * MIB


async def test_the_replacement_s_own_id_is_never_the_old_one():
    """Also where an answer holds more than was asked for."""

    class Generous(Prom):
        async def read(self, connection, namespace, pods, span, at_s, like=(), *, load_metric=None) -> Reading:
            return Reading(self.rows, at_s)

    old, new = samples(-1210, 0.1), samples(-100, 0.0, 30, 100)
    store = Store()
    of = rolled(new="db-0", pod_name="db-0", strategy="Evict")
    await learn(outcome([of], [running("db-0")]), store, Generous(row("db-0", old, "id-x"), row("db-0", new)))
    assert store.written["roll-1"]["memory"]["growthBeforeBytesPerHour"] == pytest.approx(360 * MIB, abs=9)


async def test_the_old_pod_s_lost_samples_are_not_those_of_its_replacement():
    store = Store()
    of = rolled(new="db-0", pod_name="db-0", strategy="Evict")
    await learn(outcome([of], [running("db-0")]), store, Prom(row("db-0", samples(-100, 0.1, 30, 100))))
    memory = store.written["roll-1"]["memory"]
    assert "effect" not in memory
    assert "the old pod can't be compared at the age of 80s: Prometheus has no samples of it" in memory["message"]


async def test_a_record_that_the_pass_has_dropped_is_not_asked_about():
    prom, store = Prom(*LEAKS), Store()
    await learn(outcome([rolled(ended_s=-8 * 86_400)], [running("new-1")]), store, prom)
    assert (prom.asked, store.written) == ([], {})


async def test_a_few_are_compared_per_pass_the_newest_of_each_workload_first():
    workloads = {1: "a", 2: "a", 3: "a", 4: "b", 5: "c", 6: "a", 7: "d", 8: "b"}
    numbers = tuple(workloads)
    rolls = [rolled(n, ended_s=-200 - n, workload=WORKLOAD_REF | {"name": workloads[n]}) for n in reversed(numbers)]
    rows = [row(f"old-{n}", samples(-1210 - n, 0.1)) for n in numbers]
    prom, store = Prom(*rows, *(row(f"new-{n}", samples(-100, 0.1)) for n in numbers)), Store()
    first = await learn(outcome(rolls, [running(f"new-{n}") for n in numbers]), store, prom)
    assert list(store.written) == ["roll-1", "roll-4", "roll-5", "roll-7"]
    assert len(prom.asked) == 1 + COMPARED_MOST, "the replacements are read at once"
    store.written.clear()
    await learn(outcome(first.rolls, [running(f"new-{n}") for n in numbers]), store, prom)
    assert list(store.written) == ["roll-2", "roll-8", "roll-3", "roll-6"]


async def test_a_replacement_that_is_compared_late_is_read_as_of_its_age():
    """The operator was away for an hour: what is read stays bounded."""
    prom, store = Prom(row("old-1", samples(-5210, 0.1)), row("new-1", samples(-3700, 0.1, lived_s=3700))), Store()
    await learn(outcome([rolled(ended_s=-4200)], [running("new-1", 3700)]), store, prom)
    assert prom.asked == [(("new-1",), -3700 + 80, 80.0), (("old-1",), -5210 + 80, 80.0)]
    assert store.written["roll-1"]["memory"]["effect"] == "LeakPersists"


async def test_a_replacement_without_samples_is_waited_for_and_then_given_up():
    unseen = Inconclusive(Code.NO_DATA, "none")
    prom, store = Prom(LEAKS[0]), Store()
    await learn(outcome([rolled()], [running("new-1", 30, unseen)]), store, prom)
    assert (prom.asked, store.written) == ([], {})
    await learn(outcome([rolled()], [running("new-1", 100, unseen)]), store, prom)
    assert "Prometheus has no samples of the replacement" in store.written["roll-1"]["memory"]["message"]


TROUBLES = [
    PrometheusUnavailable("QueryTimeout", "slow"),
    Stalled("Invalid", "no such connection"),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.reason)
async def test_a_read_that_fails_leaves_the_rest_for_the_next_pass(trouble):
    both = [row("old-2", samples(-1210, 0.1)), row("new-2", samples(-100, 0.1))]
    prom, store = Prom(*LEAKS, *both, fails={"old-2": trouble}), Store()
    seen = outcome([rolled(1), rolled(2)], [running("new-1"), running("new-2")])
    found = await learn(seen, store, prom)
    assert found.trouble is None
    assert list(store.written) == ["roll-1"], "what was read before counts"
    prom.fails.clear()
    await learn(replace(seen, rolls=found.rolls), store, prom)
    assert list(store.written) == ["roll-1", "roll-2"]


REFUSALS = [Conflict("Conflict", "written"), NotFound("NotFound", "gone"), ClusterUnavailable("ServerError", "down")]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda t: t.reason)
async def test_a_write_that_fails_is_told_to_nobody(refusal):
    seen = outcome([rolled()], [running("new-1")])
    found = await learn(seen, Store(refusal), Prom(*LEAKS))
    assert (found.learned, found.rolls, found.trouble) == ((), seen.rolls, None)


@pytest.mark.parametrize(
    "changes",
    [{"trouble": Stalled("Invalid", "x")}, {"policy": policy(growth=GROWTH, suspend=True)}],
    ids=["a troubled pass", "a suspended policy"],
)
async def test_a_pass_that_saw_no_pods_takes_none_for_gone(changes):
    store = Store()
    await learn(outcome([rolled()], [], **changes), store, Prom())
    assert store.written == {}


async def test_a_policy_that_only_observes_by_now_still_learns():
    store = Store()
    observing = policy(growth=GROWTH, mode=Mode.OBSERVE.value)
    await learn(outcome([rolled()], [running("new-1")], policy=observing), store, Prom(*LEAKS))
    assert store.written["roll-1"]["memory"]["effect"] == Effect.LEAK_PERSISTS.value
