"""Replays: what is found, on the past alone, whatever the number of processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.backtest import csv_traces, json_output, policy
from memroll.backtest.replay import replay
from memroll.backtest.runner import Work, run
from memroll.backtest.trace import Trace
from memroll.detection.verdict import judge
from tests.unit.backtest.histories import HOUR, RULE, line, three, trace


def leak():
    return trace(*line(60, per_hour_mib=40, from_hour=30))


def test_looks_begin_an_interval_after_the_start_and_go_through_the_last_sample():
    assert trace([100.0, 400.0, 1000.0], [1, 1, 1]).looks_s(300.0).tolist() == [400, 700, 1000]
    assert trace([100.0, 999.0], [1, 1]).looks_s(300.0).tolist() == [400, 700]
    assert trace([100.0], [1]).looks_s(300.0).size == 0


def test_a_leak_is_told_before_it_is_acted_on_and_acted_on_before_its_limit():
    judged = leak()
    found = replay(judged, RULE, ())
    assert found.whole
    assert 30 * HOUR < found.suspected.at_s <= found.confirmed.at_s < found.acted.at_s < judged.end_s
    assert judged.end_s - found.acted.at_s < 3 * HOUR
    assert found.reason == found.acted.words


def test_a_flat_container_is_never_told_of():
    found = replay(trace(*line(24)), RULE, ())
    assert (found.suspected, found.confirmed, found.acted) == (None, None, None)
    assert found.reason == "neither grows nor stands near its limit"


def test_the_reason_is_that_of_the_last_look_where_none_acts():
    found = replay(trace(*line(40, per_hour_mib=8), limit=None), replace(RULE, threshold_bytes_per_s=None), ())
    assert found.acted is None
    assert found.reason.startswith("NoMemoryLimit: ")


def test_what_comes_later_changes_nothing():
    whole = leak()
    found = replay(whole, RULE, ())
    cut_s = found.acted.at_s
    seen = Trace("cut", whole.subject.seen(cut_s))
    again = replay(seen, RULE, ())
    assert [m.at_s for m in (again.suspected, again.confirmed, again.acted)] == [
        m.at_s for m in (found.suspected, found.confirmed, found.acted)
    ]


def test_only_looks_that_the_screen_passes_on_are_judged_and_none_once_all_is_known(monkeypatch):
    judged = []

    def counting(subject, rule, at_s, peers):
        judged.append(at_s)
        return judge(subject, rule, at_s, peers)

    monkeypatch.setattr("memroll.backtest.replay.judge", counting)
    flat = trace(*line(24))
    replay(flat, RULE, ())
    assert len(judged) < flat.looks_s(300.0).size / 10
    judged.clear()
    found = replay(leak(), RULE, ())
    assert max(judged) == max(m.at_s for m in (found.suspected, found.confirmed, found.acted))


def test_a_trace_of_one_sample_is_no_trouble():
    assert replay(trace([0.0], [5.0]), RULE, ()).acted is None


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return csv_traces.read(three(tmp_path_factory.mktemp("three")))


def test_the_number_of_processes_changes_nothing(traces):
    one, three_at_once = (
        json_output.to_json(run(Work(traces, policy.default(), rules=True), jobs, lambda _: None), rules=True)
        for jobs in (1, 3)
    )
    assert one == three_at_once


def test_progress_is_told_of_each_trace(traces):
    told = []
    run(Work(traces, policy.default(), rules=False), 1, told.append)
    assert told == [1, 2, 3]


def test_traces_of_one_workload_are_peers(monkeypatch):
    shared = [
        replace(leak(), name=n, workload=w) for n, w in (("a", "web"), ("b", "web"), ("c", "db"), ("d", ""), ("e", ""))
    ]
    seen = {}
    monkeypatch.setattr("memroll.backtest.runner.replay", lambda t, rule, peers: seen.update({t.name: list(peers)}))
    work = Work(shared, policy.default(), rules=False)
    for n in range(5):
        work.carry_out(n)
    subjects = [t.subject for t in shared]
    assert seen == {"a": [subjects[1]], "b": [subjects[0]], "c": [], "d": [], "e": []}


def test_the_limit_makes_the_threshold():
    small, large = (
        Work([trace(np.arange(3) * 300.0, [1, 1, 1], limit=limit)], policy.default(), rules=False)
        for limit in (1000, 2000)
    )
    rules = [policy.rule_for(w.policy, w.traces[0].subject.limit_bytes).threshold_bytes_per_s for w in (small, large)]
    assert rules[1] == 2 * rules[0]
