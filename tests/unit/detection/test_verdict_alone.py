"""A verdict that is final without peers, load and page cache is the verdict with all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.detection.container_history import ContainerHistory
from memroll.detection.parameters import DetectionParameters, LeadTimeRule
from memroll.detection.series import Series
from memroll.detection.verdict import is_final_alone, verdict_for, was_near_limit

MIB = 2**20
LIMIT = 1000 * MIB
HOUR_S = 3600.0
NOW_S = 31 * HOUR_S
PARAMETERS = DetectionParameters(
    0.005 * LIMIT / HOUR_S, 6 * HOUR_S, 1800.0, 1800.0, lead_time=LeadTimeRule(None, 510.0), interval_s=300.0
)
SEEDS = range(60)


def random_history(random: np.random.Generator) -> ContainerHistory:
    """Return 31 hours of a ramp, a step, a daily load or a sawtooth, of any size, with noise."""
    times = np.arange(0.0, NOW_S, 120.0)
    start, rise = random.uniform(50, 500), random.uniform(-100, 450)
    age = times / times[-1]
    shape = random.choice(4)
    shapes = (age, age > random.uniform(0.2, 0.95), np.sin(times / 13751) / 2, age % random.uniform(0.02, 0.4))
    memory = (start + rise * shapes[shape] + random.normal(0, random.uniform(0.1, 5), times.size)).clip(1) * MIB
    other = random.uniform(0, 200) * MIB * age ** random.uniform(0, 2)
    return ContainerHistory(Series(times, memory), Series(times, memory + other), 0.0, LIMIT)


def with_context(history: ContainerHistory, random: np.random.Generator) -> ContainerHistory:
    times, rss = history.rss.times_s, history.rss.values
    cache = Series(times, (history.working_set.values - rss) * random.uniform(0, 1, times.size))
    load = Series(times, rss / MIB * random.choice([0.001, 1.0]) + random.random(times.size))
    return replace(history, load=load, oom_kills_s=(NOW_S / 2,), active_file=cache)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_final_alone_is_the_verdict_in_context(seed: int) -> None:
    random = np.random.default_rng(seed)
    history = random_history(random)
    alone = verdict_for(history, PARAMETERS, NOW_S, ())
    if was_near_limit(history) or not is_final_alone(alone):
        return
    peers = tuple(with_context(random_history(random), random) for _ in range(3))
    found = verdict_for(with_context(history, random), PARAMETERS, NOW_S, peers)
    assert (found.verdict, found.reason, found.message) == (alone.verdict, alone.reason, alone.message)


def test_there_are_histories_of_each_kind() -> None:
    made = [random_history(np.random.default_rng(seed)) for seed in SEEDS]
    alone = [is_final_alone(verdict_for(h, PARAMETERS, NOW_S, ())) for h in made]
    near = [was_near_limit(h) for h in made]
    kinds = list(zip(alone, near, strict=True))
    assert min(kinds.count(kind) for kind in ((True, False), (False, False), (False, True))) >= 5
