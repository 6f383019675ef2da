"""What the verdict promises on the benchmark's traces: gaps make no alarms, peers are heard in any order."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from memroll.detection.container_history import LeadRule, Rule, Subject
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import Breach, judge
from tests.bench.detect import fleets, singles
from tests.bench.detect.trace import LIMIT_BYTES, Trace

HOUR_S = 3600.0
RULE = Rule(
    threshold_bytes_per_s=0.005 * LIMIT_BYTES / HOUR_S,
    window_s=6 * HOUR_S,
    warm_up_s=0.5 * HOUR_S,
    persist_s=0.5 * HOUR_S,
    lead=LeadRule(None, 510.0),
    interval_s=300.0,
)
GAPS_S = (600.0, 1800.0, 3600.0, 2 * HOUR_S, 4 * HOUR_S)
LONGEST_AGO_S = 3 * HOUR_S
FULL_SHARE = 0.8
SLOW_CURVES = ("daily", "lunch-dip", "weekend-shift", "random-walk", "deploy-ramp", "warm-up", "slow-warm-up")
"""Without a gap some of their looks are due as well: a gap moves the border by a few in a hundred."""
MOVED_SHARE = 0.05


def subject_of(trace: Trace, limit: int = LIMIT_BYTES) -> Subject:
    load = Series(trace.t_s, trace.load) if trace.load.size else EMPTY
    return Subject(Series(trace.t_s, trace.rss), Series(trace.t_s, trace.working_set), float(trace.t_s[0]), limit, load)


def without(subject: Subject, start_s: float, end_s: float) -> Subject:
    """Return the container as it looks when Prometheus was away."""

    def cut(series: Series) -> Series:
        kept = (series.times_s <= start_s) | (series.times_s > end_s)
        return Series(series.times_s[kept], series.values[kept])

    return replace(subject, rss=cut(subject.rss), working_set=cut(subject.working_set), load=cut(subject.load))


def is_due(subject: Subject, rule: Rule, at_s: float, peers=()) -> bool:
    found = judge(subject, rule, at_s, peers)
    return isinstance(found, Breach) and found.due


@pytest.mark.parametrize("kind", [*singles.CORE_HARMLESS, *singles.LOOKALIKES])
def test_a_gap_makes_no_harmless_container_due(kind):
    """Each is sized so tightly that its peak comes near its limit, and looked at while it stands high."""
    looked, made_due = 0, 0
    for seed in range(8):
        rng = np.random.default_rng([seed, sum(map(ord, kind))])
        trace = singles.single(kind, rng)
        limit = int(trace.working_set.max() / rng.uniform(0.85, 0.97))
        subject = subject_of(trace, limit)
        rule = replace(RULE, threshold_bytes_per_s=0.005 * limit / HOUR_S)
        high_s = trace.t_s[(trace.working_set > FULL_SHARE * limit) & (trace.t_s > 10 * HOUR_S)]
        if not high_s.size:
            continue
        at_s = float(rng.choice(high_s))
        for gap_s in GAPS_S:
            end_s = at_s - rng.uniform(0.05, 1) * LONGEST_AGO_S
            looked += 1
            gappy = is_due(without(subject, end_s - gap_s, end_s), rule, at_s)
            made_due += gappy and not is_due(subject, rule, at_s)
    assert looked >= 10
    assert made_due <= (MOVED_SHARE * looked if kind in SLOW_CURVES else 0)


@cache
def fleet(kind: str) -> tuple[Subject, ...]:
    rng = np.random.default_rng([7, len(kind)])
    leaks = kind in fleets.LEAKING
    return tuple(map(subject_of, fleets.leaking(kind, rng) if leaks else fleets.harmless(kind, rng, tight=True)))


FLEETS = ("ramp", "cache", "rolling", "daily", "all", "one-sick", "restarts", "by-load")


def looks(kind: str):
    """Yield a few containers of a fleet with their peers and times late in their lives."""
    pods = fleet(kind)
    for i, pod in enumerate(pods[:4]):
        peers = pods[:i] + pods[i + 1 :]
        for share in (0.6, 0.97):
            yield pod, peers, float(pod.rss.first_s + share * (pod.rss.last_s - pod.rss.first_s))


@pytest.mark.parametrize("kind", FLEETS)
def test_the_order_of_peers_does_not_matter(kind):
    rng = np.random.default_rng(1)
    for pod, peers, at_s in looks(kind):
        found = judge(pod, RULE, at_s, peers)
        assert judge(pod, RULE, at_s, peers[::-1]) == found
        assert judge(pod, RULE, at_s, [peers[i] for i in rng.permutation(len(peers))]) == found


@pytest.mark.parametrize("kind", FLEETS)
def test_what_peers_do_after_now_does_not_matter(kind):
    for pod, peers, at_s in looks(kind):
        known = [p.seen(at_s) for p in peers]
        assert judge(pod.seen(at_s), RULE, at_s, known) == judge(pod, RULE, at_s, peers)


def moved(subject: Subject, shift_s: float) -> Subject:
    rss, used, load = (Series(s.times_s + shift_s, s.values) for s in (subject.rss, subject.working_set, subject.load))
    return replace(subject, rss=rss, working_set=used, load=load, started_at_s=subject.started_at_s + shift_s)


def larger(subject: Subject, times: int) -> Subject:
    rss, used = (Series(s.times_s, s.values * times) for s in (subject.rss, subject.working_set))
    return replace(subject, rss=rss, working_set=used, limit_bytes=(subject.limit_bytes or 0) * times)


def essence(verdict) -> tuple:
    return type(verdict), verdict.code, getattr(verdict, "due", None)


@pytest.mark.parametrize("kind", FLEETS)
def test_neither_the_date_nor_the_unit_of_memory_matters(kind):
    fourfold = replace(RULE, threshold_bytes_per_s=4 * RULE.threshold_bytes_per_s)
    for pod, peers, at_s in looks(kind):
        found = judge(pod, RULE, at_s, peers)
        late = judge(moved(pod, 1.7e9), RULE, at_s + 1.7e9, [moved(p, 1.7e9) for p in peers])
        assert essence(late) == essence(found)
        large = judge(larger(pod, 4), fourfold, at_s, [larger(p, 4) for p in peers])
        assert essence(large) == essence(found)
        if isinstance(found, Breach):
            assert large.time_to_limit_s == found.time_to_limit_s
            assert late.time_to_limit_s == pytest.approx(found.time_to_limit_s, rel=1e-3)
