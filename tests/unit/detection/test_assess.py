"""Assessment of a policy's pods: batches, peers, and parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memroll.detection import assess
from memroll.detection.assess import Assessor
from memroll.detection.batches import (
    MAX_BATCH_PODS,
    MAX_PEERS_READ,
    by_peer_group,
    peer_group_of,
    split_into_batches,
)
from memroll.detection.container_history import build_history
from memroll.detection.extremes import NO_EXTREMES
from memroll.detection.long_history import step_extremes
from memroll.detection.parameters import build_parameters
from memroll.detection.peer_rows import PeerRows
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import PrefilterResult, PrefilterRow, QueryResult, SeriesRow
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import verdict_for
from memroll.model.pod_names import PodPattern
from memroll.model.pods import ObjectRef
from memroll.model.roll_duration import RollDurations
from memroll.reporting.event_builder import outcome_events
from memroll.reporting.outcome import Outcome
from tests.builders import LIMIT, MIB, NOW, at, container, line, pod, policy, records, roll
from tests.fakes import FakePrometheus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memroll.api.pod_roll import PodRoll


def owned(name: str, kind: str, owner: str, **labels: str):
    return pod(name, controller=ObjectRef("apps/v1", kind, owner, f"uid-{owner}"), labels={"app": "leaky"} | labels)


def test_a_pod_without_a_controller_has_no_peers():
    assert peer_group_of(pod("bare", controller=None)) is None
    (batch,) = split_into_batches([pod("bare", controller=None), pod("other", controller=None)], {"uid-bare"})
    assert (batch.pods, batch.patterns) == (("bare",), ())


def test_a_candidate_is_read_with_its_peers_and_earlier_pods_but_no_other_workload():
    hashed = {"pod-template-hash": "5d"}
    ours = [owned(f"web-5d-{i}", "ReplicaSet", "web-5d", **hashed) for i in "ab"]
    canary = owned("web-7f-c", "ReplicaSet", "web-7f", **{"pod-template-hash": "7f"})
    other = owned("api-5d-a", "ReplicaSet", "api-5d", **hashed)
    (batch,) = split_into_batches([*ours, canary, other], {ours[0].key.uid})
    assert sorted(batch.pods) == ["web-5d-a", "web-5d-b", "web-7f-c"], "a pod of another revision is a peer as well"
    assert batch.patterns == (PodPattern("web", 2),)
    assert batch.candidates == {ours[0].key.uid}


def test_earlier_pods_of_a_statefulset_have_the_same_names():
    (batch,) = split_into_batches(
        [owned("db-0", "StatefulSet", "db"), owned("db-1", "StatefulSet", "db")], {"uid-db-0"}
    )
    assert (batch.pods, batch.patterns) == (("db-0", "db-1"), ())


def test_a_thousand_candidates_are_read_in_batches():
    many = [owned(f"web-{i}", "ReplicaSet", "web") for i in range(1000)]
    found = list(split_into_batches(many, {t.key.uid for t in many}))
    assert frozenset().union(*(b.candidates for b in found)) == {t.key.uid for t in many}
    assert max(len(b.pods) for b in found) <= MAX_BATCH_PODS
    assert all(b.patterns == () for b in found), "earlier pods of a large workload are not read"


def test_small_workloads_are_read_together():
    many = [owned(f"web-{i}-abcde", "ReplicaSet", f"web-{i}") for i in range(150)]
    found = list(split_into_batches(many, {t.key.uid for t in many}))
    assert [len(b.pods) for b in found] == [100, 50]
    assert [len(b.patterns) for b in found] == [100, 50]


def test_one_candidate_of_a_thousand_is_read_with_a_few_peers_of_all_ages():
    many = [replace(owned(f"web-{i}", "ReplicaSet", "web"), created_at=at(-i)) for i in range(1000)]
    (batch,) = split_into_batches(many, {"uid-web-500"})
    assert len(batch.pods) == 1 + MAX_PEERS_READ
    assert {"web-500", "web-0", "web-999"} <= set(batch.pods)


def row(name: str, id_: str, samples: Series = EMPTY, **parts) -> SeriesRow:
    held = samples if len(samples) else line(0.1)
    return replace(SeriesRow(name, "app", id_, held, held), **parts)


def test_peers_are_the_running_and_the_earlier_instances_of_the_same_container():
    hashed = {"pod-template-hash": "5d"}
    ours = [owned(f"web-5d-abcd{i}", "ReplicaSet", "web-5d", **hashed) for i in "bcd"]
    ours = [replace(p, containers=(container(id=f"id-{p.key.name[-1]}", started_at=at(-100)),)) for p in ours]
    rows = (
        row("web-5d-abcdb", "id-b"),
        row("web-5d-abcdb", "id-before"),
        row("web-5d-abcdc", "id-c"),
        row("web-7f-xxxxx", "id-earlier"),
        row("web-5d-abcdd", "id-sidecar", container="proxy"),
        row("api-5d-abcdb", "id-other"),
    )
    peers = PeerRows(QueryResult(rows, NOW.timestamp()), by_peer_group(ours))
    found = peers.peers_of(ours[0], ours[0].containers[0], rows[0])
    assert len(found) == 3, "its predecessor, a running peer and an earlier pod"
    starts = sorted(p.started_at_s for p in found)
    assert starts[-1] == NOW.timestamp() - 100, "the start of a running one is that in its status, not its first sample"


def test_an_oom_kill_is_where_the_counter_rises():
    times = NOW.timestamp() + np.arange(0, 50, 10.0)
    history = build_history(row("a", "x", ooms=Series(times, np.array([0.0, 0, 1, 1, 3]))), 0.0, LIMIT)
    assert history.oom_kills_s == (times[2], times[4])


def durations(*rolls: PodRoll, **spec):
    made = policy(**spec)
    return RollDurations.measure(made.name, made.spec.roll.drain, records(*rolls))


def min_lead_s(*rolls: PodRoll) -> float:
    (watched,) = Assessor(policy(), (pod(),), durations(*rolls), NOW).containers
    return watched.parameters.lead_time.min_s


def test_the_minimum_lead_time_is_three_measured_rolls():
    measured = roll(
        "Succeeded",
        times={"announced": "2026-03-01T11:00:00Z", "finished": "2026-03-01T11:00:40Z"},
    )
    assert min_lead_s(measured) == 3 * 40 + 5
    assert min_lead_s() == 3 * (5 + 10) + 5, "without one: the time to become Ready, and an overhead"


def took(seconds: int, **workload: str) -> PodRoll:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"} | workload
    times = {"announced": "2026-03-01T11:00:00Z", "finished": at(-3600 + seconds).isoformat()}
    return roll("Succeeded", workload=ref, times=times)


def test_a_workload_s_own_rolls_count_before_those_of_the_policy():
    hashed = {"pod-template-hash": "5d"}
    web, api = owned("web-5d-a", "ReplicaSet", "web-5d", **hashed), owned("api-5d-a", "ReplicaSet", "api-5d", **hashed)
    database = owned("web-0", "StatefulSet", "web")
    argo = owned("shop-5d-a", "ReplicaSet", "shop-5d", **{"rollouts-pod-template-hash": "5d"})
    rolls = (took(30, name="web"), took(50, name="shop", kind="Rollout"), took(20, name="other"))
    assert [durations(*rolls).of_pod_s(p) for p in (web, argo, api, database)] == [30, 50, 50, 50]


def test_rolls_of_other_policies_count_for_their_workload_only():
    others = took(30, name="web"), took(50, name="shop")
    own = RollDurations.measure("another", policy().spec.roll.drain, records(*others))
    web = owned("web-5d-a", "ReplicaSet", "web-5d", **{"pod-template-hash": "5d"})
    assert [own.of_pod_s(p) for p in (web, pod())] == [30, 5 + 10]


@pytest.mark.parametrize(
    ("drain", "more_s"),
    [
        ({}, 0),
        ({"mode": "Detach", "minDuration": "20s"}, 20),
        ({"mode": "Detach", "timeout": "4m", "until": {"metric": "inflight"}}, 240),
    ],
)
def test_the_estimated_duration_of_a_roll_includes_the_drain(drain, more_s):
    assert durations(roll={"drain": drain}).of_pod_s(pod()) == 5 + 10 + more_s


YOUNG = [
    pytest.param(None, 25, VerdictReason.NOT_SCRAPED_YET, "no samples of it yet", id="nothing is scraped"),
    pytest.param(30.0, 25, VerdictReason.NOT_SCRAPED_YET, "no RSS of it yet", id="only /metrics/resource is scraped"),
    pytest.param(30.0, -5, VerdictReason.NOT_SCRAPED_YET, "too young: 0 s", id="the clock of its node is ahead"),
    pytest.param(None, 120, VerdictReason.NO_DATA, "is cAdvisor scraped?", id="nothing is scraped for two minutes"),
    pytest.param(30.0, 120, VerdictReason.NO_RSS, "/metrics/cadvisor", id="no RSS for two minutes"),
]


@pytest.mark.parametrize(("usage_bytes", "age_s", "reason", "message"), YOUNG)
async def test_the_first_scrapes_of_a_container_are_awaited(usage_bytes, age_s, reason, message):
    """The endpoints of a kubelet are scraped independently: for a minute a pod may have a working set and no RSS."""
    watched = policy()
    started = pod(containers=(container(started_at=at(-age_s)),))
    prometheus = FakePrometheus({})
    if usage_bytes is not None:
        unscraped = PrefilterRow(
            "leaky-abc", "app", started.containers[0].id, (None,) * 4, 0, None, usage_bytes, -np.inf
        )
        prometheus.prefilter = answer(unscraped)
    durations_ = RollDurations({}, None, watched.spec.roll.drain)
    (found,) = await Assessor(watched, (started,), durations_, NOW).assess(prometheus)
    assert (found.verdict.reason, found.verdict.is_inconclusive) == (reason, True)
    assert message in found.verdict.message
    events = list(outcome_events(Outcome(watched, NOW, watched_pods=1, assessments=(found,))))
    assert [e.reason.value for e in events] == ([] if age_s < 120 else ["InsufficientData"])


def answer(*rows: PrefilterRow):
    async def prefilter(connection, namespace, pods, windows_s, at_s, slow):
        return PrefilterResult(rows, tuple(windows_s), at_s, slow)

    return prefilter


async def test_an_exception_in_one_assessment_affects_no_other_container(monkeypatch, caplog):
    pods = tuple(pod(name, containers=(container(id=f"id-{name}"),)) for name in ("odd", "even"))
    series = {f"id-{p.key.name}": line(0.6) for p in pods}
    original = assess.verdict_for

    def fail_once(history, parameters, now_s, peers):
        if history.limit_bytes == 7:
            raise ZeroDivisionError
        return original(history, parameters, now_s, peers)

    monkeypatch.setattr(assess, "verdict_for", fail_once)
    odd = replace(pods[0], containers=(container(id="id-odd", limit_bytes=7),))
    watched = policy(growth={"perHour": "50%", "window": "60s", "warmUp": "20s", "for": "10s"})
    found = await Assessor(watched, (odd, pods[1]), durations(), NOW).assess(FakePrometheus(series))
    assert [a.verdict.reason for a in found] == ["AssessmentFailed", "Leaking"]
    assert "a bug: assessing container app of pod demo/odd failed" in caplog.text


FAST = {"growth": {"perHour": "50%", "window": "60s", "warmUp": "20s", "for": "10s"}}


async def assess_with(prometheus, *pods, monkeypatch=None):
    """Assess the pods; return the histories that verdicts were built from, by limit."""
    seen = {}

    def recording(history, parameters, now_s, peers):
        seen[history.limit_bytes] = history
        return verdict_for(history, parameters, now_s, peers)

    monkeypatch.setattr(assess, "verdict_for", recording)
    await Assessor(policy(**FAST), pods, durations(), NOW).assess(prometheus)
    return seen


async def test_only_candidates_near_their_limit_have_a_long_history(monkeypatch):
    """Usage 128 MiB at the end: above 60 % of 200 MiB, below 60 % of 400 MiB."""
    limits = {"near": 200, "far": 400}
    pods = [pod(n, containers=(container(id=f"id-{n}", limit_bytes=m * MIB),)) for n, m in limits.items()]
    prometheus = FakePrometheus({f"id-{n}": line(0.6) for n in limits})
    seen = await assess_with(prometheus, *pods, monkeypatch=monkeypatch)
    parameters = build_parameters(policy(**FAST), None)
    assert set(prometheus.long_reads) == {("default", "demo", ("near",), parameters.long_lookback_s)}
    near, far = seen[200 * MIB], seen[400 * MIB]
    assert near.minima.times_s.tolist() == step_extremes(line(0.6), 10.0)[0].times_s.tolist()
    assert len(near.maxima) == len(near.minima) > 10
    assert len(far.minima) == 0


async def test_without_a_long_history_the_assessment_goes_on(monkeypatch):
    one = pod("near", containers=(container(id="id-near", limit_bytes=200 * MIB),))
    prometheus = FakePrometheus({"id-near": line(0.6)})

    async def nothing(connection, request):
        return NO_EXTREMES

    monkeypatch.setattr(prometheus, "read_extremes", nothing)
    assert len((await assess_with(prometheus, one, monkeypatch=monkeypatch))[200 * MIB].minima) == 0


HASHED = {"pod-template-hash": "5d"}
FAST_LIMIT = 400 * MIB
"""Limit of which a usage of 128 MiB is less than 60 %."""


def web(n: int):
    name = f"web-5d-abcd{'bcdfghjklm'[n]}"
    made = container(id=f"id-{name}", limit_bytes=FAST_LIMIT)
    return replace(owned(name, "ReplicaSet", "web-5d", **HASHED), containers=(made, container(name="proxy", id="")))


async def requests_of(monkeypatch, series: Sequence[Series], **spec):
    """Assess one pod for each series; return the requests and the verdicts of the watched container."""
    pods = tuple(web(n) for n in range(len(series)))
    prometheus = FakePrometheus({f"id-{p.key.name}": s for p, s in zip(pods, series, strict=True)})
    requests = []
    read = prometheus.read

    async def recording(connection, request):
        requests.append(request)
        return await read(connection, request)

    monkeypatch.setattr(prometheus, "read", recording)
    found = await Assessor(policy(**FAST, containers=["app"], **spec), pods, durations(), NOW).assess(prometheus)
    return requests, [a.verdict for a in found]


async def test_only_memory_is_read_of_a_candidate_that_does_not_grow(monkeypatch):
    """It grew long ago: the steepest slope makes it a candidate, and its own memory shows that it has stopped."""
    values = np.minimum(np.linspace(20, 100, 600), 90) * MIB
    stopped = Series(NOW.timestamp() - np.arange(600)[::-1] * 1.0, values)
    (request,), (verdict,) = await requests_of(monkeypatch, [stopped])
    assert (verdict.is_healthy, verdict.reason) == (True, "NotGrowing")
    assert (request.memory_only, request.incremental, list(request.detailed)) == (True, True, [])
    assert dict(request.containers) == {"web-5d-abcdb": {"app"}}


async def test_load_page_cache_and_peers_are_read_where_there_is_growth_to_explain(monkeypatch):
    (alone, context), (growing, _) = await requests_of(monkeypatch, [line(0.6), line(0.0)])
    assert growing.reason == "Suspected"
    assert (alone.pods, alone.patterns, alone.memory_only) == (("web-5d-abcdb",), (), True)
    assert (context.pods, context.memory_only) == (("web-5d-abcdb", "web-5d-abcdc"), False)
    assert context.patterns == (PodPattern("web", 2),)
    assert context.detailed == ("web-5d-abcdb",), "of peers, no page cache and swap"
    assert dict(context.containers) == {pod: {"app"} for pod in context.pods}, "of peers, the same container"


async def test_page_cache_is_read_at_once_near_the_limit(monkeypatch):
    (alone, _), _ = await requests_of(monkeypatch, [line(1.4)])
    assert alone.detailed == ["web-5d-abcdb"]


def test_a_history_has_page_cache_and_swap():
    cache, swap = line(0.1), line(0.2)
    history = build_history(row("a", "x", active_file=cache, swap=swap), 0.0, LIMIT)
    assert (history.active_file, history.swap) == (cache, swap)
