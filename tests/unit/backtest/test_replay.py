"""Replays: each evaluation uses earlier samples only, and results do not depend on the number of processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.api.policy import PolicySpec
from memroll.backtest import csv_traces, json_output, policy
from memroll.backtest.baselines.rules import RULE_NAMES
from memroll.backtest.replay import Evaluation, ReplayResult, replay
from memroll.backtest.runner import BacktestJob, run
from memroll.backtest.trace import Trace
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import EMPTY
from memroll.detection.verdict import ContainerVerdict, Verdict, verdict_for
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


def times_of(count, every_s):
    return [np.arange(count) * every_s, np.full(count, 2e8)]


NOT_ASSESSED = [
    pytest.param(trace([0.0], [5.0]), "TooFewSamples: the trace lasts 0s", id="one sample"),
    pytest.param(trace(*line(2)), "WarmingUp: too young", id="too short"),
    pytest.param(trace(*times_of(9, 4 * HOUR)), "TooFewSamples: 2 samples in the window", id="too few samples"),
    pytest.param(trace(*line(40, per_hour_mib=8), limit=None), "NoMemoryLimit: no memory limit", id="no limit"),
]


@pytest.mark.parametrize(("unknown", "reason"), NOT_ASSESSED)
def test_a_trace_without_the_data_for_any_assessment_is_not_a_healthy_one(unknown, reason):
    parameters = RULE if unknown.history.limit_bytes else replace(RULE, threshold_bytes_per_s=None)
    found = replay(unknown, parameters, ())
    assert (found.assessed, found.suspected, found.rolled) == (False, None, None)
    assert found.reason.startswith(f"not assessed: {reason}")


@pytest.mark.parametrize("missing", ["rss", "working_set"])
def test_a_trace_without_one_of_its_series_is_not_assessed(missing):
    whole = trace(*line(40))
    found = replay(replace(whole, history=replace(whole.history, **{missing: EMPTY})), RULE, ())
    assert not found.assessed
    assert ("NoRss" if missing == "rss" else "no container_memory_working_set_bytes") in found.reason


def test_a_trace_that_the_prefilter_drops_throughout_assessed():
    found = replay(trace(*line(24)), RULE, ())
    assert (found.assessed, found.suspected) == (True, None)


def test_one_assessment_is_enough():
    cut = trace(*line(5.4))
    assert replay(cut, RULE, ()).assessed
    assert not replay(trace(*line(5.2)), RULE, ()).assessed, "younger than the warm-up and most of a window"


def test_the_long_history_is_used_only_near_the_limit_and_only_as_far_back_as_the_operator_reads(monkeypatch):
    seen = []

    def recording(history, rule, at_s, peers):
        seen.append((at_s, history))
        return verdict_for(history, rule, at_s, peers)

    monkeypatch.setattr("memroll.backtest.replay.verdict_for", recording)
    growing = trace(*line(24 * 20, start_mib=10, per_hour_mib=2))
    replay(growing, replace(RULE, threshold_bytes_per_s=1e-3, interval_s=6 * HOUR), ())
    far = [h for t, h in seen if h.working_set.until(t).values[-1] < 0.6 * h.limit_bytes]
    near = [(t, h) for t, h in seen if h.working_set.until(t).values[-1] >= 0.6 * h.limit_bytes]
    assert {len(h.minima) for h in far} == {0}
    assert near
    for at_s, history in near:
        assert at_s - RULE.long_lookback_s < history.minima.first_s
        assert at_s - RULE.long_step_s < history.minima.last_s <= at_s


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


def test_a_leak_is_reported_when_it_is_first_at_risk():
    found = replay(leak(), RULE, ())
    assert found.reported == found.confirmed
    assert found.suspected.at_s < found.reported.at_s < found.rolled.at_s


@pytest.mark.parametrize("verdict", list(Verdict))
def test_growth_of_other_memory_is_reported_whatever_its_verdict(verdict):
    evaluation = Evaluation(1.0, ContainerVerdict(verdict, "OtherMemory", ""))
    assert ReplayResult().with_evaluation(evaluation).reported == evaluation


def test_a_suspicion_alone_is_not_reported():
    suspected = ContainerVerdict(Verdict.SUSPECTED, VerdictReason.SUSPECTED, "")
    assert ReplayResult().with_evaluation(Evaluation(1.0, suspected)).reported is None


def test_a_trace_without_enough_data_is_not_assessed():
    growing = trace(*line(40, per_hour_mib=8), limit=None)
    assert not replay(growing, replace(RULE, threshold_bytes_per_s=None), ()).assessed
    assert replay(growing, RULE, ()).assessed
    assert replay(trace(*line(24)), RULE, ()).assessed, "the prefilter drops it, which is a verdict"


def test_every_third_interval_has_the_same_verdicts(monkeypatch):
    evaluated = {1: [], 3: []}
    for every, found in evaluated.items():

        def remembering(history, rule, at_s, peers, found=found):
            found.append((at_s, verdict_for(history, rule, at_s, peers)))
            return found[-1][1]

        monkeypatch.setattr("memroll.backtest.replay.verdict_for", remembering)
        replay(leak(), RULE, (), every)
    until_s = min(found[-1][0] for found in evaluated.values())
    every_time = [(at_s, v) for at_s, v in evaluated[1] if at_s % 900 == 0 and at_s <= until_s]
    assert every_time == [(at_s, v) for at_s, v in evaluated[3] if at_s <= until_s]
    assert len(evaluated[3]) > 10


def test_a_trace_of_one_sample_is_replayed():
    assert replay(trace([0.0], [5.0]), RULE, ()).rolled is None


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return csv_traces.read(three(tmp_path_factory.mktemp("three")))


def test_the_number_of_processes_changes_nothing(traces):
    one, three_at_once = (
        json_output.to_document(
            run(BacktestJob(traces, policy.default_policy(), rules=RULE_NAMES), jobs, lambda _: None), rules=RULE_NAMES
        )
        for jobs in (1, 3)
    )
    assert one == three_at_once


def test_progress_is_reported_after_each_trace(traces):
    calls = []
    run(BacktestJob(traces, policy.default_policy(), rules=()), 1, calls.append)
    assert calls == [1, 2, 3]


def test_traces_of_one_workload_are_peers(monkeypatch):
    shared = [
        replace(leak(), name=n, workload=w) for n, w in (("a", "web"), ("b", "web"), ("c", "db"), ("d", ""), ("e", ""))
    ]
    seen = {}
    monkeypatch.setattr(
        "memroll.backtest.runner.replay", lambda t, rule, peers, every: seen.update({t.name: list(peers)})
    )
    job = BacktestJob(shared, policy.default_policy(), rules=())
    for n in range(5):
        job.run(n)
    subjects = [t.history for t in shared]
    assert seen == {"a": [subjects[1]], "b": [subjects[0]], "c": [], "d": [], "e": []}


def test_the_threshold_is_relative_to_the_limit():
    small, large = (
        BacktestJob([trace(np.arange(3) * 300.0, [1, 1, 1], limit=limit)], policy.default_policy(), rules=())
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
        run(BacktestJob([dies], limited(**given), rules=()), 1, lambda _: None) for given in ({}, {"limit": "50%"})
    )
    assert own.replay.rolled is None
    assert half.replay.rolled is not None
    assert half.replay.rolled.verdict.usage_bytes < 512 * MIB
    assert (own.trace.history.limit_bytes, half.trace.history.limit_bytes) == (LIMIT, LIMIT // 2)


def test_a_replay_of_a_trace_without_a_limit_counts_to_that_of_the_policy():
    free = trace(*line(40, per_hour_mib=8), limit=None)
    (found,) = run(BacktestJob([free], limited(limit="500Mi"), rules=()), 1, lambda _: None)
    assert found.replay.rolled is not None


def test_peers_have_the_limit_of_the_policy_as_well(monkeypatch):
    seen = {}
    monkeypatch.setattr("memroll.backtest.runner.replay", lambda t, rule, peers, every: seen.update({t.name: peers}))
    job = BacktestJob([replace(leak(), name=n, workload="web") for n in "ab"], limited(limit="50%"), rules=())
    job.run(0)
    assert [p.limit_bytes for p in seen["a"]] == [LIMIT // 2]
