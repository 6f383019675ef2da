"""Properties of verdicts on the benchmark's traces: gaps cause no alerts, the order of peers does not matter."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from memroll.detection.container_history import ContainerHistory
from memroll.detection.parameters import DetectionParameters, LeadTimeRule
from memroll.detection.series import EMPTY, Series
from memroll.detection.verdict import verdict_for
from tests.bench.detect import fleets, singles
from tests.bench.detect.trace import LIMIT_BYTES, Trace

HOUR_S = 3600.0
PARAMETERS = DetectionParameters(
    threshold_bytes_per_s=0.005 * LIMIT_BYTES / HOUR_S,
    window_s=6 * HOUR_S,
    warm_up_s=0.5 * HOUR_S,
    for_s=0.5 * HOUR_S,
    lead_time=LeadTimeRule(None, 510.0),
    interval_s=300.0,
)
GAPS_S = (600.0, 1800.0, 3600.0, 2 * HOUR_S, 4 * HOUR_S)
LONGEST_AGO_S = 3 * HOUR_S
MIN_USAGE_RATIO = 0.8


def history_of(trace: Trace, limit: int = LIMIT_BYTES) -> ContainerHistory:
    load = Series(trace.t_s, trace.load) if trace.load.size else EMPTY
    return ContainerHistory(
        Series(trace.t_s, trace.rss), Series(trace.t_s, trace.working_set), float(trace.t_s[0]), limit, load
    )


def without(history: ContainerHistory, start_s: float, end_s: float) -> ContainerHistory:
    """Return the history with a gap in which Prometheus was down."""

    def cut(series: Series) -> Series:
        kept = (series.times_s <= start_s) | (series.times_s > end_s)
        return Series(series.times_s[kept], series.values[kept])

    return replace(history, rss=cut(history.rss), working_set=cut(history.working_set), load=cut(history.load))


def is_due(history: ContainerHistory, parameters: DetectionParameters, at_s: float, peers=()) -> bool:
    return verdict_for(history, parameters, at_s, peers).due


@pytest.mark.parametrize("kind", [*singles.CORE_HARMLESS, *singles.LOOKALIKES])
def test_a_gap_makes_no_harmless_container_due(kind):
    """Each has a limit near its peak, and is evaluated while its usage is high."""
    evaluated, made_due = 0, 0
    for seed in range(8):
        rng = np.random.default_rng([seed, sum(map(ord, kind))])
        trace = singles.single(kind, rng)
        limit = int(trace.working_set.max() / rng.uniform(0.85, 0.97))
        history = history_of(trace, limit)
        parameters = replace(PARAMETERS, threshold_bytes_per_s=0.005 * limit / HOUR_S)
        high_s = trace.t_s[(trace.working_set > MIN_USAGE_RATIO * limit) & (trace.t_s > 10 * HOUR_S)]
        if not high_s.size:
            continue
        at_s = float(rng.choice(high_s))
        for gap_s in GAPS_S:
            end_s = at_s - rng.uniform(0.05, 1) * LONGEST_AGO_S
            evaluated += 1
            gappy = is_due(without(history, end_s - gap_s, end_s), parameters, at_s)
            made_due += gappy and not is_due(history, parameters, at_s)
    assert evaluated >= 10
    assert made_due == 0


@pytest.mark.parametrize("kind", ["steady", "stairs", "daily-leak"])
def test_a_leak_is_due_at_the_first_samples_after_a_gap(kind):
    """The limit is a few minutes away when the samples return: the growth before the gap is evidence enough."""
    saved, lost = 0, 0
    for seed in range(4):
        trace = singles.single(kind, np.random.default_rng([seed, 9]))
        if trace.oom_s is None:
            continue
        history = history_of(trace)
        parameters = replace(PARAMETERS, threshold_bytes_per_s=0.005 * LIMIT_BYTES / HOUR_S)
        for gap_s in (1800.0, 3600.0, 2 * HOUR_S):
            end_s = trace.oom_s - 1200
            due = is_due(without(history, end_s - gap_s, end_s), parameters, end_s + 120)
            saved, lost = saved + due, lost + (not due and is_due(history, parameters, end_s + 120))
    assert saved >= 6
    assert lost == 0


@cache
def fleet(kind: str) -> tuple[ContainerHistory, ...]:
    rng = np.random.default_rng([7, len(kind)])
    leaks = kind in fleets.LEAKING
    return tuple(map(history_of, fleets.leaking(kind, rng) if leaks else fleets.harmless(kind, rng, tight=True)))


FLEETS = ("ramp", "cache", "rolling", "daily", "all", "one-sick", "restarts", "by-load")


def evaluations(kind: str):
    """Yield a few containers of a fleet with their peers and times late in their lives."""
    pods = fleet(kind)
    for i, pod in enumerate(pods[:4]):
        peers = pods[:i] + pods[i + 1 :]
        for ratio in (0.6, 0.97):
            yield pod, peers, float(pod.rss.first_s + ratio * (pod.rss.last_s - pod.rss.first_s))


@pytest.mark.parametrize("kind", FLEETS)
def test_the_order_of_peers_does_not_matter(kind):
    rng = np.random.default_rng(1)
    for pod, peers, at_s in evaluations(kind):
        found = verdict_for(pod, PARAMETERS, at_s, peers)
        assert verdict_for(pod, PARAMETERS, at_s, peers[::-1]) == found
        assert verdict_for(pod, PARAMETERS, at_s, [peers[i] for i in rng.permutation(len(peers))]) == found


@pytest.mark.parametrize("kind", FLEETS)
def test_samples_of_peers_after_now_do_not_matter(kind):
    for pod, peers, at_s in evaluations(kind):
        known = [p.as_of(at_s) for p in peers]
        assert verdict_for(pod.as_of(at_s), PARAMETERS, at_s, known) == verdict_for(pod, PARAMETERS, at_s, peers)


def moved(history: ContainerHistory, shift_s: float) -> ContainerHistory:
    rss, used, load = (Series(s.times_s + shift_s, s.values) for s in (history.rss, history.working_set, history.load))
    return replace(history, rss=rss, working_set=used, load=load, started_at_s=history.started_at_s + shift_s)


def larger(history: ContainerHistory, times: int) -> ContainerHistory:
    rss, used = (Series(s.times_s, s.values * times) for s in (history.rss, history.working_set))
    return replace(history, rss=rss, working_set=used, limit_bytes=(history.limit_bytes or 0) * times)


def essence(verdict) -> tuple:
    return verdict.verdict, verdict.reason, verdict.due


@pytest.mark.parametrize("kind", FLEETS)
def test_neither_the_date_nor_the_unit_of_memory_matters(kind):
    fourfold = replace(PARAMETERS, threshold_bytes_per_s=4 * PARAMETERS.threshold_bytes_per_s)
    for pod, peers, at_s in evaluations(kind):
        found = verdict_for(pod, PARAMETERS, at_s, peers)
        late = verdict_for(moved(pod, 1.7e9), PARAMETERS, at_s + 1.7e9, [moved(p, 1.7e9) for p in peers])
        assert essence(late) == essence(found)
        large = verdict_for(larger(pod, 4), fourfold, at_s, [larger(p, 4) for p in peers])
        assert essence(large) == essence(found)
        if found.is_at_risk:
            assert large.time_to_limit_s == found.time_to_limit_s
            assert late.time_to_limit_s == pytest.approx(found.time_to_limit_s, rel=1e-3)
