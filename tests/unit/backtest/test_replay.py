"""Replays: each evaluation uses earlier samples only, and results do not depend on the number of processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.api.policy import PolicySpec
from memroll.backtest import csv_traces, json_output, policy
from memroll.backtest.replay import replay
from memroll.backtest.runner import BacktestJob, run
from memroll.backtest.trace import Trace
from memroll.detection.verdict import verdict_for
from tests.unit.backtest.histories import HOUR, LIMIT, MIB, RULE, line, three, trace


def leak():
    return trace(*line(60, per_hour_mib=40, from_hour=30))


def test_evaluations_begin_an_interval_after_the_start_and_end_at_the_last_sample():
    assert trace([100.0, 400.0, 1000.0], [1, 1, 1]).evaluation_times_s(300.0).tolist() == [400, 700, 1000]
    assert trace([100.0, 999.0], [1, 1]).evaluation_times_s(300.0).tolist() == [400, 700]
    assert trace([100.0], [1]).evaluation_times_s(300.0).size == 0


def test_a_leak_is_confirmed_before_its_pod_is_rolled_and_rolled_before_the_limit():
    leaking = leak()
    found = replay(leaking, RULE, ())
    assert found.complete
    assert 30 * HOUR < found.suspected.at_s <= found.confirmed.at_s < found.rolled.at_s < leaking.end_s
    assert leaking.end_s - found.rolled.at_s < 3 * HOUR
    assert found.reason == found.rolled.description


def test_a_flat_container_is_never_suspected():
    found = replay(trace(*line(24)), RULE, ())
    assert (found.suspected, found.confirmed, found.rolled) == (None, None, None)
    assert found.reason == "no growth, and not close to the limit"


def test_the_reason_is_that_of_the_last_evaluation_if_none_rolls():
    found = replay(trace(*line(40, per_hour_mib=8), limit=None), replace(RULE, threshold_bytes_per_s=None), ())
    assert found.rolled is None
    assert found.reason.startswith("NoMemoryLimit: ")


def test_later_samples_change_nothing():
    whole = leak()
    found = replay(whole, RULE, ())
    cut_s = found.rolled.at_s
    seen = Trace("cut", whole.history.as_of(cut_s))
    again = replay(seen, RULE, ())
    assert [m.at_s for m in (again.suspected, again.confirmed, again.rolled)] == [
        m.at_s for m in (found.suspected, found.confirmed, found.rolled)
    ]


def test_only_prefiltered_times_are_evaluated_and_none_after_the_result_is_complete(monkeypatch):
    evaluated = []

    def counting(history, rule, at_s, peers):
        evaluated.append(at_s)
        return verdict_for(history, rule, at_s, peers)

    monkeypatch.setattr("memroll.backtest.replay.verdict_for", counting)
    flat = trace(*line(24))
    replay(flat, RULE, ())
    assert len(evaluated) < flat.evaluation_times_s(300.0).size / 10
    evaluated.clear()
    found = replay(leak(), RULE, ())
    assert max(evaluated) == max(m.at_s for m in (found.suspected, found.confirmed, found.rolled))


def test_a_trace_of_one_sample_is_replayed():
    assert replay(trace([0.0], [5.0]), RULE, ()).rolled is None


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return csv_traces.read(three(tmp_path_factory.mktemp("three")))


def test_the_number_of_processes_changes_nothing(traces):
    one, three_at_once = (
        json_output.to_json(
            run(BacktestJob(traces, policy.default_policy(), rules=True), jobs, lambda _: None), rules=True
        )
        for jobs in (1, 3)
    )
    assert one == three_at_once


def test_progress_is_reported_after_each_trace(traces):
    calls = []
    run(BacktestJob(traces, policy.default_policy(), rules=False), 1, calls.append)
    assert calls == [1, 2, 3]


def test_traces_of_one_workload_are_peers(monkeypatch):
    shared = [
        replace(leak(), name=n, workload=w) for n, w in (("a", "web"), ("b", "web"), ("c", "db"), ("d", ""), ("e", ""))
    ]
    seen = {}
    monkeypatch.setattr("memroll.backtest.runner.replay", lambda t, rule, peers: seen.update({t.name: list(peers)}))
    job = BacktestJob(shared, policy.default_policy(), rules=False)
    for n in range(5):
        job.run(n)
    subjects = [t.history for t in shared]
    assert seen == {"a": [subjects[1]], "b": [subjects[0]], "c": [], "d": [], "e": []}


def test_the_threshold_is_relative_to_the_limit():
    small, large = (
        BacktestJob([trace(np.arange(3) * 300.0, [1, 1, 1], limit=limit)], policy.default_policy(), rules=False)
        for limit in (1000, 2000)
    )
    rules = [
        policy.parameters_for(w.policy, w.traces[0].history.limit_bytes).threshold_bytes_per_s for w in (small, large)
    ]
    assert rules[1] == 2 * rules[0]


def limited(**exhaustion):
    spec = PolicySpec.model_validate({"mode": "Observe", "selector": policy.MATCH_ANY, "exhaustion": exhaustion})
    return policy.default_policy().model_copy(update={"spec": spec})


def test_a_replay_counts_to_the_limit_of_the_policy():
    """A runtime that dies at half of its limit: with the policy's limit it is rolled before, and shown with it."""
    times, values = line(40, per_hour_mib=8)
    dies = trace(times[values < 512 * MIB], values[values < 512 * MIB], name="v8")
    (own,), (half,) = (
        run(BacktestJob([dies], limited(**given), rules=False), 1, lambda _: None) for given in ({}, {"limit": "50%"})
    )
    assert own.replay.rolled is None
    assert half.replay.rolled is not None
    assert half.replay.rolled.verdict.usage_bytes < 512 * MIB
    assert (own.trace.history.limit_bytes, half.trace.history.limit_bytes) == (LIMIT, LIMIT // 2)


def test_a_replay_of_a_trace_without_a_limit_counts_to_that_of_the_policy():
    free = trace(*line(40, per_hour_mib=8), limit=None)
    (found,) = run(BacktestJob([free], limited(limit="500Mi"), rules=False), 1, lambda _: None)
    assert found.replay.rolled is not None


def test_peers_have_the_limit_of_the_policy_as_well(monkeypatch):
    seen = {}
    monkeypatch.setattr("memroll.backtest.runner.replay", lambda t, rule, peers: seen.update({t.name: peers}))
    job = BacktestJob([replace(leak(), name=n, workload="web") for n in "ab"], limited(limit="50%"), rules=False)
    job.run(0)
    assert [p.limit_bytes for p in seen["a"]] == [LIMIT // 2]
