"""What Prometheus kept, as traces: instances across days, limits, and who was killed."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.backtest.history import Day, joined, traces, workload_of
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
    )


def day(*rows, limits=None, killed=None):
    return Day(rows, limits or {}, killed or {})


def test_an_instance_is_one_trace_across_days():
    first = row("a", "i1", series((1, 10), (2, 20)), load=series((1, 0.5)))
    second = row("a", "i1", series((2, 99), (3, 30)), load=series((3, 0.7)))
    (found,) = traces([day(first), day(second)], ())
    assert (found.name, found.start_s, found.end_s, found.oom_s) == ("a/app", 1, 3, None)
    assert found.subject.rss.values.tolist() == [10, 20, 30]
    assert found.subject.load.times_s.tolist() == [1, 3]


def test_instances_of_one_container_are_told_apart_by_their_id():
    found = traces([day(row("a", "0123456789ab", series((1, 1))), row("a", "cafecafecafe", series((5, 1))))], ())
    assert [t.name for t in found] == ["a/app/01234567", "a/app/cafecafe"]
    assert {t.workload for t in found} == {"a/app"}


def test_the_newest_limit_counts_and_none_is_none():
    days = [day(row("a", "i", series((1, 1))), limits={("a", "app"): 100.0}), day(limits={("a", "app"): 200.0})]
    assert traces(days, ())[0].subject.limit_bytes == 200
    assert traces([day(row("a", "i", series((1, 1))))], ())[0].subject.limit_bytes is None


def test_only_watched_containers_count():
    both = day(row("a", "i", series((1, 1))), row("a", "j", series((1, 1)), container="proxy"))
    assert [t.name for t in traces([both], ("proxy",))] == ["a/proxy"]


def test_what_lacks_one_of_the_two_series_is_left_out():
    assert traces([day(row("a", "i", series((1, 1)), working_set=EMPTY))], ()) == ()


def test_a_rise_of_the_counter_is_a_kill():
    counted = row("a", "i", series((1, 1), (9, 1)), ooms=series((1, 2), (4, 2), (6, 3), (8, 5)))
    (found,) = traces([day(counted)], ())
    assert found.subject.ooms_s == (6, 8)
    assert found.oom_s == 6


def test_the_next_instance_s_status_tells_how_the_one_before_ended():
    rows = [
        row("a", "i1", series((1, 1), (5, 1))),
        row("a", "i2", series((7, 1), (20, 1))),
        row("b", "i3", series((1, 1), (5, 1))),
    ]
    first, second, other = traces([day(*rows, killed={("a", "app"): series((8, 1), (12, 1))})], ())
    assert (first.oom_s, second.oom_s, other.oom_s) == (5, None, None)


def test_a_status_from_before_an_instance_s_end_says_nothing_of_it():
    (found,) = traces(
        [day(row("a", "i2", series((7, 1), (20, 1))), killed={("a", "app"): series((8, 1), (20, 1))})], ()
    )
    assert found.oom_s is None


def test_joining_keeps_each_moment_once():
    found = joined([series((1, 1), (3, 3)), series((3, 9), (2, 2))])
    assert (found.times_s.tolist(), found.values.tolist()) == ([1, 2, 3], [1, 2, 3])
    assert joined([]) is EMPTY
    assert (np.diff(found.times_s) > 0).all()


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-7d9f8b6c5d-x2x4z", "web"),
        ("kube-dns-x7k2p", "kube-dns"),
        ("node-exporter-b4c2d", "node-exporter"),
        ("db-0", "db"),
        ("shard-2-11", "shard-2"),
        ("bare", "bare"),
    ],
)
def test_a_workload_is_told_by_its_pods_names(pod, workload):
    assert workload_of(pod) == workload
