"""Traces from Prometheus samples: container instances across days, limits, and OOM kills."""

from __future__ import annotations

import numpy as np

from memroll.backtest.history import HistoryDay, build_traces, join_series
from memroll.detection.samples import SeriesRow
from memroll.detection.series import EMPTY, Series


def series(*samples):
    return Series.of(samples)


def row(pod, container_id, rss, container="app", **more):
    return SeriesRow(
        pod,
        container,
        container_id,
        rss,
        more.get("working_set", rss),
        more.get("load", EMPTY),
        more.get("ooms", EMPTY),
        more.get("active_file", EMPTY),
        more.get("swap", EMPTY),
    )


def day(*rows, limits=None, oom_killed=None):
    return HistoryDay(rows, limits or {}, oom_killed or {})


def test_an_instance_is_one_trace_across_days():
    first = row("a", "i1", series((1, 10), (2, 20)), load=series((1, 0.5)))
    second = row("a", "i1", series((2, 99), (3, 30)), load=series((3, 0.7)))
    (found,) = build_traces([day(first), day(second)], ())
    assert (found.name, found.start_s, found.end_s, found.oom_s) == ("a/app", 1, 3, None)
    assert found.history.rss.values.tolist() == [10, 20, 30]
    assert found.history.load.times_s.tolist() == [1, 3]


def test_instances_of_one_container_are_distinguished_by_their_id():
    found = build_traces([day(row("a", "0123456789ab", series((1, 1))), row("a", "cafecafecafe", series((5, 1))))], ())
    assert [t.name for t in found] == ["a/app/01234567", "a/app/cafecafe"]
    assert {t.workload for t in found} == {"a/app"}


def test_the_newest_limit_counts_and_none_is_none():
    days = [day(row("a", "i", series((1, 1))), limits={("a", "app"): 100.0}), day(limits={("a", "app"): 200.0})]
    assert build_traces(days, ())[0].history.limit_bytes == 200
    assert build_traces([day(row("a", "i", series((1, 1))))], ())[0].history.limit_bytes is None


def test_only_containers_of_the_policy_are_included():
    both = day(row("a", "i", series((1, 1))), row("a", "j", series((1, 1)), container="proxy"))
    assert [t.name for t in build_traces([both], ("proxy",))] == ["a/proxy"]


def test_a_container_without_one_of_the_two_series_is_a_trace_that_can_t_be_assessed():
    (found,) = build_traces([day(row("a", "i", EMPTY, working_set=series((1, 1), (5, 1))))], ())
    assert (found.has_memory, found.start_s, found.end_s) == (False, 1, 5)


def test_a_second_working_set_of_another_endpoint_is_no_trace():
    both = row("a", "i", series((1, 1))), row("a", "", EMPTY, working_set=series((2, 1)))
    assert [t.has_memory for t in build_traces([day(*both)], ())] == [True]


def test_page_cache_and_swap_are_joined_across_days():
    days = [day(row("a", "i", series((t, 10)), active_file=series((t, 3)), swap=series((t, 4)))) for t in (1.0, 2.0)]
    (found,) = build_traces(days, ())
    assert (found.history.active_file.values.tolist(), found.history.swap.values.tolist()) == ([3, 3], [4, 4])


def test_a_rise_of_the_counter_is_a_kill():
    counted = row("a", "i", series((1, 1), (9, 1)), ooms=series((1, 2), (4, 2), (6, 3), (8, 5)))
    (found,) = build_traces([day(counted)], ())
    assert found.history.oom_kills_s == (6, 8)
    assert found.oom_s == 6


def test_the_next_instance_s_status_has_the_reason_of_the_last_end():
    rows = [
        row("a", "i1", series((1, 1), (5, 1))),
        row("a", "i2", series((7, 1), (20, 1))),
        row("b", "i3", series((1, 1), (5, 1))),
    ]
    first, second, other = build_traces([day(*rows, oom_killed={("a", "app"): series((8, 1), (12, 1))})], ())
    assert (first.oom_s, second.oom_s, other.oom_s) == (5, None, None)


def test_a_status_from_before_an_instance_s_end_is_ignored():
    (found,) = build_traces(
        [day(row("a", "i2", series((7, 1), (20, 1))), oom_killed={("a", "app"): series((8, 1), (20, 1))})], ()
    )
    assert found.oom_s is None


def test_joining_keeps_each_time_once():
    found = join_series([series((1, 1), (3, 3)), series((3, 9), (2, 2))])
    assert (found.times_s.tolist(), found.values.tolist()) == ([1, 2, 3], [1, 2, 3])
    assert join_series([]) is EMPTY
    assert (np.diff(found.times_s) > 0).all()
