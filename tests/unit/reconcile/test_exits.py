"""Usage at the exits of containers: which exits are read, and the result for each kind of samples."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from memroll.api.limit_suggestion import MAX_EXITS, ExitedContainer, ObservedExit
from memroll.detection.assessment import Assessment
from memroll.detection.samples import QueryResult, SeriesRow
from memroll.detection.series import Series
from memroll.errors import PrometheusUnavailableError
from memroll.model.pods import ROLL_ANNOTATION, ContainerExit
from memroll.reconcile.exits import MAX_READ, measure_exits
from memroll.reporting.outcome import Outcome
from tests.builders import MIB, NOW, at, container, healthy_verdict, pod, policy

HOUR = 3600.0
ENDED = ContainerExit("dead", at(-8 * HOUR), at(-HOUR))


def grown(first_mib=100.0, last_mib=515.0, ended=ENDED):
    """Build samples of an instance that grows in a straight line from its start to its exit."""
    times = np.arange(ended.started_at.timestamp(), ended.finished_at.timestamp(), 60.0)
    return Series(times, np.linspace(first_mib, last_mib, times.size) * MIB)


class Store:
    def __init__(self, used, container_id="dead"):
        self.used, self.container_id, self.requests, self.error = used, container_id, [], None

    async def read(self, connection, request):
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        later = Series(np.array([NOW.timestamp()]), np.array([90.0 * MIB]))
        rows = [SeriesRow(p, "app", self.container_id, self.used, self.used) for p in request.pods]
        rows += [SeriesRow(p, "app", "c0ffee", later, later) for p in request.pods if self.container_id]
        return QueryResult(tuple(rows), request.at_s)


def outcome(*exits, known=(), **changes):
    """Build the outcome of a reconcile of one pod for each exit, with these exits in the policy's status."""
    made = [Assessment(pod(f"p{i}", **changes), container(last_exit=e), healthy_verdict()) for i, e in enumerate(exits)]
    watching = policy()
    status = watching.status.model_copy(update={"exits": tuple(known)})
    return Outcome(watching.model_copy(update={"status": status}), NOW, len(made), tuple(made))


async def measured(store, *exits, **changes):
    found = await measure_exits(outcome(*exits, **changes), store)
    return [m.observed for m in found.measured_exits]


async def test_the_usage_at_an_exit_is_the_last_sample_of_the_ended_instance():
    store = Store(grown())
    (found,) = await measured(store, ENDED)
    assert (found.usage_bytes, found.grew) == (515 * MIB, True)
    assert (found.uid, found.time) == ("uid-p0", at(-HOUR))
    (request,) = store.requests
    assert (request.pods, request.at_s) == (("p0",), at(-HOUR).timestamp())
    assert request.sample_range.lookback_s == 7 * HOUR


async def test_without_container_ids_the_samples_of_its_lifetime_count():
    (found,) = await measured(Store(grown(), container_id=""), ENDED)
    assert (found.usage_bytes, found.grew) == (515 * MIB, True)


@pytest.mark.parametrize(
    "used",
    [
        pytest.param(grown(510, 515), id="always as high"),
        pytest.param(grown(500, 100), id="was higher before"),
        pytest.param(grown(100, 110), id="next to no growth"),
    ],
)
async def test_memory_that_had_not_grown_up_to_the_exit_is_marked(used):
    (found,) = await measured(Store(used), ENDED)
    assert found.usage_bytes == used.values[-1]
    assert found.grew is False


async def test_growth_within_the_warm_up_alone_is_none():
    times = grown().times_s
    steep = Series(times, np.where(times < times[0] + 1500, 50.0, 515.0) * MIB)
    (found,) = await measured(Store(steep), ENDED)
    assert found.grew is False


async def test_an_exit_without_recent_samples_is_recorded_without_a_usage():
    early = grown().until(at(-2 * HOUR).timestamp())
    (found,) = await measured(Store(early), ENDED)
    assert (found.usage_bytes, found.grew) == (None, False)
    (found,) = await measured(Store(grown(), container_id="other"), ENDED)
    assert found.usage_bytes is None


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(None, id="none"),
        pytest.param(replace(ENDED, started_at=at(-HOUR - 1700)), id="within its warm-up"),
        pytest.param(replace(ENDED, finished_at=at(-30)), id="whose last scrape may be missing"),
        pytest.param(replace(ENDED, finished_at=at(60)), id="in the future"),
        pytest.param(ContainerExit("x", at(-17 * 24 * HOUR), at(-15 * 24 * HOUR)), id="older than the store"),
    ],
)
async def test_some_exits_are_not_read(ended):
    store = Store(grown())
    assert await measured(store, ended) == []
    assert store.requests == []


async def test_a_released_pod_s_exit_is_not_read():
    store = Store(grown())
    labels = {"app": "leaky", "pod-template-hash": "memroll-released"}
    assert await measured(store, ENDED, annotations={ROLL_ANNOTATION: "r"}, labels=labels) == []


def entry(*exits, workload="Deployment/leaky", revision="5d"):
    return ExitedContainer(workload=workload, revision=revision, container="app", exits=exits)


async def test_an_exit_that_is_known_costs_no_query():
    store = Store(grown())
    known = entry(ObservedExit(uid="uid-p0", time=at(-HOUR), usage_bytes=1))
    assert await measured(store, ENDED, known=[known]) == []
    assert store.requests == []
    other = known.model_copy(update={"revision": "older"})
    assert len(await measured(store, ENDED, known=[other])) == 1


async def test_an_exit_older_than_all_that_there_is_room_for_is_not_read_again():
    newer = [ObservedExit(uid=f"u{i}", time=at(-60.0 - i)) for i in range(MAX_EXITS)]
    store = Store(grown())
    assert await measured(store, ENDED, known=[entry(*newer)]) == []
    assert len(await measured(store, ENDED, known=[entry(*newer[1:])])) == 1
    others = [entry(newer[0], workload=f"Deployment/w{i}") for i in range(10)]
    assert await measured(store, ENDED, known=others) == []


async def test_a_few_exits_are_read_in_one_reconcile_the_newest_first():
    exits = [replace(ENDED, finished_at=ENDED.finished_at - timedelta(seconds=i)) for i in range(7)]
    store = Store(grown())
    found = await measured(store, *reversed(exits))
    assert [f.time for f in found] == [e.finished_at for e in exits[:MAX_READ]]


async def test_a_failed_query_leaves_the_exit_to_the_next_reconcile():
    store = Store(grown())
    store.error = PrometheusUnavailableError("QueryTimeout", "slow")
    assert await measured(store, ENDED) == []
    store.error = ValueError("bug")
    assert await measured(store, ENDED, ENDED) == []
    assert len(store.requests) == 3, "a bug with one exit does not stop the next one, an unreachable store does"


@pytest.mark.parametrize(
    "changes", [{"error": PrometheusUnavailableError("QueryTimeout", "slow")}, {"policy": policy(suspend=True)}]
)
async def test_without_assessments_nothing_is_read(changes):
    made = outcome(ENDED)
    made = replace(made, **changes)
    assert (await measure_exits(made, Store(grown()))) is made
