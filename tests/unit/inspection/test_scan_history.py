"""Replay of what a scan found: since when and since which revision it leaks, what a policy would have done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from memroll.backtest import policy
from memroll.backtest.trace import Trace
from memroll.detection.container_history import ContainerHistory
from memroll.detection.series import Series
from memroll.inspection import scan_history
from memroll.inspection.scan_history import replay_history

MIB = 2**20
HOUR_S = 3600.0


def trace(pod: str, start_h: float, hours: float, mib_per_h: float, *, oom: bool = False) -> Trace:
    times = np.arange(start_h * HOUR_S, (start_h + hours) * HOUR_S, 60.0)
    values = (200 + mib_per_h * (times - times[0]) / HOUR_S) * MIB
    series = Series(times, values)
    history = ContainerHistory(series, series, float(times[0]), 1024 * MIB)
    return Trace(f"{pod}/app", history, workload="chat/app", oom_s=float(times[-1]) if oom else None)


def test_a_leak_is_dated_by_its_first_report_and_named_by_its_revision():
    flat = trace("chat-6f98c8dd6-x7k2p", 0, 48, 0.0)
    leak = trace("chat-7d4b9c5f6-b2wqz", 48, 36, 22.8, oom=True)
    past = replay_history([flat, leak], policy.default_policy(), processes=1)
    assert (past.instances, past.replayed, past.oom_kills) == (2, 2, 1)
    assert (past.kills_avoided, past.rolls) == (1, 1)
    assert past.since_pod == "chat-7d4b9c5f6-b2wqz"
    assert past.since_revision == "7d4b9c5f6"
    assert past.since_s is not None
    assert 48 * HOUR_S < past.since_s < 60 * HOUR_S
    assert past.wasted_ratio is not None
    assert 0 < past.wasted_ratio < 0.3


def test_without_a_leak_there_is_no_date():
    past = replay_history([trace("chat-7d4b9c5f6-b2wqz", 0, 48, 0.0)], policy.default_policy(), processes=1)
    assert (past.rolls, past.oom_kills, past.since_s, past.since_revision) == (0, 0, None, "")


def test_the_most_recent_instances_are_replayed_those_with_oom_kills_first(monkeypatch):
    monkeypatch.setattr(scan_history, "MAX_INSTANCES", 2)
    old = trace("chat-7d4b9c5f6-aaaaa", 0, 24, 33.0, oom=True)
    flat = [trace(f"chat-7d4b9c5f6-{n}wwww", 24 * n, 12, 0.0) for n in (2, 4, 5)]
    past = replay_history([*flat, old], policy.default_policy(), processes=1)
    assert (past.instances, past.replayed, past.oom_kills) == (4, 2, 1)


def test_a_pod_of_a_statefulset_has_no_revision_in_its_name():
    leak = replace(trace("db-0", 0, 24, 33.0), workload="db/app")
    past = replay_history([leak], policy.default_policy(), processes=1)
    assert (past.since_pod, past.since_revision) == ("db-0", "")
