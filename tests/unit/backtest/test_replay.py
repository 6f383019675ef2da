"""Replays: each evaluation uses earlier samples only, and results do not depend on the number of processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.backtest import csv_traces, json_output, policy
from memroll.backtest.replay import Evaluation, ReplayResult, replay
from memroll.backtest.runner import BacktestJob, run
from memroll.backtest.trace import Trace
from memroll.detection.reasons import VerdictReason
from memroll.detection.verdict import ContainerVerdict, Verdict, verdict_for
from tests.unit.backtest.histories import HOUR, RULE, line, three, trace


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
    assert not replay(growing, replace(RULE, threshold_bytes_per_s=None), ()).is_assessed
    assert replay(growing, RULE, ()).is_assessed
    assert replay(trace(*line(24)), RULE, ()).is_assessed, "the prefilter drops it, which is a verdict"


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
    monkeypatch.setattr(
        "memroll.backtest.runner.replay", lambda t, rule, peers, every: seen.update({t.name: list(peers)})
    )
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
