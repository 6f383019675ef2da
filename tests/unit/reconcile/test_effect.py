"""Comparison of effects in a reconcile: the compared rolls, the queries, and what is left for the next reconcile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from memroll.api.pod_roll import EffectResult, PodRoll
from memroll.api.policy import Mode
from memroll.detection.assessment import Assessment
from memroll.detection.samples import QueryResult, ReadRequest, SeriesRow
from memroll.detection.series import Series
from memroll.errors import (
    ClusterUnavailableError,
    ConflictError,
    NotFoundError,
    PrometheusUnavailableError,
    TerminalError,
)
from memroll.reconcile.effect import MAX_COMPARED, compare_effects
from memroll.reporting.outcome import Outcome
from tests.builders import (
    LIMIT,
    MIB,
    NOW,
    WORKLOAD_REF,
    at,
    container,
    healthy_verdict,
    inconclusive_verdict,
    pod,
    policy,
    records,
    roll_json,
)

GROWTH = {"perHour": "50%", "window": "60s", "warmUp": "20s", "for": "10s"}
RECORDS: dict[str, dict[str, Any]] = {}
"""The PodRolls as the cluster holds them, by name: a write of the status answers with the whole object."""
HEALTHY = healthy_verdict()


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def rolled(n: int = 1, *, new: str = "", ended_s: float = -200, pod_name: str = "", **status: Any) -> PodRoll:
    """Build the successful roll of pod old-n, which had lived for 1000 s, by new-n."""
    new, old = new or f"new-{n}", pod_name or f"old-{n}"
    trigger = {
        "container": "app", "usageBytes": 110 * MIB, "limitBytes": LIMIT, "containerStarted": stamp(ended_s - 1010),
    }  # fmt: skip
    raw = roll_json(
        "Succeeded",
        created=at(ended_s - 10),
        spec={"podName": old, "podUID": f"uid-{old}-before", "trigger": trigger},
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
    made = Outcome(policy(growth=GROWTH), NOW, len(assessments), tuple(assessments), rolls=records(*rolls))
    return replace(made, **changes)


def samples(start_s: float, rate: float, base: float = 20.0, lived_s: float = 1000) -> Series:
    """Build usage that grows by `rate` MiB per second from `start_s` (from NOW) on."""
    ages = np.arange(0.0, lived_s + 1, 2.0)
    return Series(NOW.timestamp() + start_s + ages, (base + rate * ages) * MIB)


class RecordedPrometheus:
    """Prometheus with recorded rows: returns those of the requested pods, within the requested range."""

    def __init__(self, *rows: SeriesRow, fails: dict[str, Exception] | None = None) -> None:
        self.rows, self.fails = rows, fails or {}
        self.queries: list[tuple[tuple[str, ...], float, float]] = []

    async def prefilter(self, *_: Any) -> Any:
        raise AssertionError("a comparison needs no prefilter")

    async def read(self, connection: str, request: ReadRequest) -> QueryResult:
        at_s, lookback_s = request.at_s, request.sample_range.lookback_s
        self.queries.append((tuple(request.pods), at_s - NOW.timestamp(), lookback_s))
        for name in request.pods:
            if name in self.fails:
                raise self.fails[name]
        rows = [r for r in self.rows if r.pod in request.pods]
        cut = [(r, *(s.between(at_s - lookback_s, at_s) for s in (r.rss, r.working_set))) for r in rows]
        return QueryResult(tuple(replace(r, rss=a, working_set=b) for r, a, b in cut if len(a)), at_s)


def row(name: str, series: Series, id_: str | None = None) -> SeriesRow:
    return SeriesRow(name, "app", f"id-{name}" if id_ is None else id_, series, series)


class Store:
    """Store of PodRolls that keeps the written statuses, or raises at a write."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.written: dict[str, dict[str, Any]] = {}

    async def get_roll(self, namespace, name) -> dict[str, Any] | None:
        return RECORDS.get(name)

    async def write_status(self, plural, namespace, name, resource_version, status) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        assert (plural, namespace, resource_version) == ("podrolls", "demo", "3")
        self.written[name] = status
        return RECORDS[name] | {"status": status}


LEAKS = (row("old-1", samples(-1210, 0.1)), row("new-1", samples(-100, 0.1, lived_s=100)))


async def test_a_roll_is_compared_at_equal_age_and_the_effect_written():
    prometheus, store = RecordedPrometheus(*LEAKS), Store()
    found = await compare_effects(outcome([rolled()], [running("new-1")]), store, prometheus)
    assert prometheus.queries == [(("new-1",), 0.0, 100.0), (("old-1",), -1210 + 80, 80.0)]
    effect = store.written["roll-1"]["effect"]
    assert effect["result"] == "LeakPersists"
    assert effect["growthBeforeBytesPerHour"] == pytest.approx(360 * MIB, abs=9)
    assert effect["growthAfterBytesPerHour"] == pytest.approx(360 * MIB, abs=9)
    assert effect["ageSeconds"] == 80
    assert [r.name for r in found.measured_rolls] == ["roll-1"]
    assert found.rolls == records(*found.measured_rolls), "the status of the policy is built from the written rolls"


async def test_the_usage_after_the_warm_up_is_written_before_the_growth_is_known():
    prometheus, store = RecordedPrometheus(*LEAKS), Store()
    found = await compare_effects(outcome([rolled()], [running("new-1", 30)]), store, prometheus)
    assert store.written["roll-1"]["effect"]["beforeBytes"] == 110 * MIB
    assert "comparedAt" not in store.written["roll-1"]["effect"]
    assert found.measured_rolls == (), "nothing is reported yet"
    (now,) = found.rolls
    prometheus.queries.clear()
    again = await compare_effects(outcome([now], [running("new-1", 40)]), store, prometheus)
    assert prometheus.queries == [], "nothing is queried until it is old enough"
    assert again.rolls == (now,)


async def test_a_young_replacement_costs_no_query():
    prometheus, store = RecordedPrometheus(*LEAKS), Store()
    await compare_effects(outcome([rolled()], [running("new-1", 24)]), store, prometheus)
    assert (prometheus.queries, store.written) == ([], {})


async def test_a_settled_comparison_is_not_repeated():
    prometheus, store = RecordedPrometheus(*LEAKS), Store()
    first = await compare_effects(outcome([rolled()], [running("new-1")]), store, prometheus)
    prometheus.queries.clear()
    store.written.clear()
    await compare_effects(outcome(first.rolls, [running("new-1")]), store, prometheus)
    assert (prometheus.queries, store.written) == ([], {})


UNMEASURABLE = [
    pytest.param({}, [], "was gone, or no longer watched", id="the replacement is gone"),
    pytest.param({}, [running("new-1", restarts=1)], "was restarted", id="its container was restarted"),
    pytest.param({"strategy": "Restart"}, [running("new-1")], "the whole workload was restarted", id="Restart"),
]


@pytest.mark.parametrize(("status", "running_now", "message"), UNMEASURABLE)
async def test_an_unmeasurable_effect_is_settled_without_a_query(status, running_now, message):
    prometheus, store = RecordedPrometheus(*LEAKS), Store()
    found = await compare_effects(outcome([rolled(**status)], [running("other"), *running_now]), store, prometheus)
    effect = store.written["roll-1"]["effect"]
    assert message in effect["message"]
    assert "result" not in effect
    assert effect["comparedAt"] == "2026-03-01T12:00:00Z"
    assert prometheus.queries == []
    assert len(found.measured_rolls) == 1, "counted as unknown"


async def test_only_successful_rolls_are_compared():
    others = [replace_phase(rolled(n), phase) for n, phase in enumerate(("Failed", "Aborted", "Verifying"))]
    prometheus, store = RecordedPrometheus(*LEAKS), Store()
    await compare_effects(outcome(others, [running("new-1")]), store, prometheus)
    assert (prometheus.queries, store.written) == ([], {})


def replace_phase(of: PodRoll, phase: str) -> PodRoll:
    return PodRoll.read(roll_json(phase, spec=of.spec.to_dict(), workload=WORKLOAD_REF))


@pytest.mark.parametrize("named", [True, False], ids=["with IDs", "labels without IDs"])
async def test_a_statefulset_s_pod_is_distinguished_from_its_predecessors_of_the_same_name(named):
    """There were three db-0: the first one, the rolled one (it leaked), and the replacement (it does not)."""
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
    await compare_effects(outcome([of], [running("db-0")]), store, RecordedPrometheus(*rows))
    effect = store.written["roll-1"]["effect"]
    assert effect["result"] == "Effective"
    assert effect["growthBeforeBytesPerHour"] == pytest.approx(360 * MIB, abs=9)
    assert effect["growthAfterBytesPerHour"] == 0
    assert effect["afterBytes"] == 30 * MIB


async def test_the_replacement_s_own_id_is_never_the_old_one():
    """This holds even if a response contains more than the query requested."""

    class ReturnsAll(RecordedPrometheus):
        async def read(self, connection: str, request: ReadRequest) -> QueryResult:
            return QueryResult(self.rows, request.at_s)

    old, new = samples(-1210, 0.1), samples(-100, 0.0, 30, 100)
    store = Store()
    of = rolled(new="db-0", pod_name="db-0", strategy="Evict")
    await compare_effects(
        outcome([of], [running("db-0")]), store, ReturnsAll(row("db-0", old, "id-x"), row("db-0", new))
    )
    assert store.written["roll-1"]["effect"]["growthBeforeBytesPerHour"] == pytest.approx(360 * MIB, abs=9)


async def test_missing_samples_of_the_old_pod_are_not_replaced_by_those_of_its_replacement():
    store = Store()
    of = rolled(new="db-0", pod_name="db-0", strategy="Evict")
    await compare_effects(
        outcome([of], [running("db-0")]), store, RecordedPrometheus(row("db-0", samples(-100, 0.1, 30, 100)))
    )
    effect = store.written["roll-1"]["effect"]
    assert "result" not in effect
    assert "the old pod can't be compared at the age of 80s: Prometheus has no samples of it" in effect["message"]


async def test_a_roll_that_this_reconcile_deleted_is_not_compared():
    prometheus, store = RecordedPrometheus(*LEAKS), Store()
    await compare_effects(outcome([rolled(ended_s=-8 * 86_400)], [running("new-1")]), store, prometheus)
    assert (prometheus.queries, store.written) == ([], {})


async def test_a_few_rolls_are_compared_per_reconcile_the_newest_of_each_workload_first():
    workloads = {1: "a", 2: "a", 3: "a", 4: "b", 5: "c", 6: "a", 7: "d", 8: "b"}
    numbers = tuple(workloads)
    rolls = [rolled(n, ended_s=-200 - n, workload=WORKLOAD_REF | {"name": workloads[n]}) for n in reversed(numbers)]
    rows = [row(f"old-{n}", samples(-1210 - n, 0.1)) for n in numbers]
    prometheus, store = RecordedPrometheus(*rows, *(row(f"new-{n}", samples(-100, 0.1)) for n in numbers)), Store()
    first = await compare_effects(outcome(rolls, [running(f"new-{n}") for n in numbers]), store, prometheus)
    assert list(store.written) == ["roll-1", "roll-4", "roll-5", "roll-7"]
    assert len(prometheus.queries) == 1 + MAX_COMPARED, "the replacements are read together"
    store.written.clear()
    await compare_effects(outcome(first.rolls, [running(f"new-{n}") for n in numbers]), store, prometheus)
    assert list(store.written) == ["roll-2", "roll-8", "roll-3", "roll-6"]


async def test_a_late_comparison_reads_the_samples_of_the_comparison_age():
    """The operator was down for an hour; the queried range stays bounded."""
    prometheus, store = (
        RecordedPrometheus(row("old-1", samples(-5210, 0.1)), row("new-1", samples(-3700, 0.1, lived_s=3700))),
        Store(),
    )
    await compare_effects(outcome([rolled(ended_s=-4200)], [running("new-1", 3700)]), store, prometheus)
    assert prometheus.queries == [(("new-1",), -3700 + 80, 80.0), (("old-1",), -5210 + 80, 80.0)]
    assert store.written["roll-1"]["effect"]["result"] == "LeakPersists"


async def test_a_replacement_without_samples_is_compared_later_and_then_marked_unknown():
    unseen = inconclusive_verdict()
    prometheus, store = RecordedPrometheus(LEAKS[0]), Store()
    await compare_effects(outcome([rolled()], [running("new-1", 30, unseen)]), store, prometheus)
    assert (prometheus.queries, store.written) == ([], {})
    await compare_effects(outcome([rolled()], [running("new-1", 100, unseen)]), store, prometheus)
    assert "Prometheus has no samples of the replacement" in store.written["roll-1"]["effect"]["message"]


READ_ERRORS = [
    PrometheusUnavailableError("QueryTimeout", "slow"),
    TerminalError("Invalid", "no such connection"),
]


@pytest.mark.parametrize("error", READ_ERRORS, ids=lambda e: e.reason)
async def test_a_failed_query_leaves_the_rest_for_the_next_reconcile(error):
    both = [row("old-2", samples(-1210, 0.1)), row("new-2", samples(-100, 0.1))]
    prometheus, store = RecordedPrometheus(*LEAKS, *both, fails={"old-2": error}), Store()
    seen = outcome([rolled(1), rolled(2)], [running("new-1"), running("new-2")])
    found = await compare_effects(seen, store, prometheus)
    assert found.error is None
    assert list(store.written) == ["roll-1"], "comparisons before the error are written"
    prometheus.fails.clear()
    await compare_effects(replace(seen, rolls=found.rolls), store, prometheus)
    assert list(store.written) == ["roll-1", "roll-2"]


WRITE_ERRORS = [
    ConflictError("Conflict", "written"),
    NotFoundError("NotFound", "gone"),
    ClusterUnavailableError("ServerError", "down"),
]


@pytest.mark.parametrize("error", WRITE_ERRORS, ids=lambda e: e.reason)
async def test_a_failed_write_is_not_reported(error):
    seen = outcome([rolled()], [running("new-1")])
    found = await compare_effects(seen, Store(error), RecordedPrometheus(*LEAKS))
    assert (found.measured_rolls, found.rolls, found.error) == ((), seen.rolls, None)


@pytest.mark.parametrize(
    "changes",
    [{"error": TerminalError("Invalid", "x")}, {"policy": policy(growth=GROWTH, suspend=True)}],
    ids=["a failed reconcile", "a suspended policy"],
)
async def test_a_reconcile_without_pods_marks_no_replacement_as_gone(changes):
    store = Store()
    await compare_effects(outcome([rolled()], [], **changes), store, RecordedPrometheus())
    assert store.written == {}


async def test_a_policy_in_observe_mode_still_compares_effects():
    store = Store()
    observing = policy(growth=GROWTH, mode=Mode.OBSERVE.value)
    await compare_effects(outcome([rolled()], [running("new-1")], policy=observing), store, RecordedPrometheus(*LEAKS))
    assert store.written["roll-1"]["effect"]["result"] == EffectResult.LEAK_PERSISTS.value
