"""Counting of OOM kills from pod statuses and from the kernel's counters."""

from __future__ import annotations

from memroll_demo.oom import OomKills
from tests.unit.demo.builders import killed, pod


def test_oom_kills_count_each_instance_once_and_outlive_their_pod():
    kills = OomKills()
    for status in (killed("a"), killed("a"), killed("b", where="state"), killed("c", reason="Error")):
        kills.count_pod("leaky", pod(**status))
    assert kills.of("leaky") == 2
    assert kills.of("other") == 0


def test_the_source_with_the_higher_count_of_oom_kills_is_used():
    kills = OomKills()
    kills.count_pod("leaky", pod(**killed("a")))
    for container, count in (("a", 1), ("b", 1), ("b", 2), ("b", 1)):
        kills.count_events("leaky", container, count)
    assert kills.of("leaky") == 3
