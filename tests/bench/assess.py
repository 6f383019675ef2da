"""Cost of an assessment: milliseconds per container and per candidate, and ratios to a least-squares fit.

Run it with `make bench`. Only the ratios compare between machines.
"""

from __future__ import annotations

import timeit

import numpy as np

from memroll.detection.container_history import ContainerHistory
from memroll.detection.parameters import DetectionParameters, LeadTimeRule
from memroll.detection.prefilter import PREFILTER_WINDOWS, prefilter_verdict
from memroll.detection.samples import PrefilterRow
from memroll.detection.series import Series
from memroll.detection.verdict import verdict_for

MIB = 2**20
HOUR_S = 3600.0
STEP_S = 60.0
LIMIT = 1024 * MIB
ROUNDS = 40
CONTAINERS = 5000
CANDIDATES_RATIO = 0.02
PARAMETERS = DetectionParameters(
    0.005 * LIMIT / HOUR_S, 6 * HOUR_S, 1800.0, 1800.0, lead_time=LeadTimeRule(None, 510.0), interval_s=300.0
)


def history(seed: int, ratio: float) -> ContainerHistory:
    """Build 31 h of a container that has leaked up to this ratio of its limit."""
    times = np.arange(0, PARAMETERS.lookback_s, STEP_S)
    noise = np.random.default_rng(seed).normal(0, MIB, times.size)
    series = Series(times, 100 * MIB + times / times[-1] * (ratio * LIMIT - 100 * MIB) + noise)
    return ContainerHistory(series, series, 0.0, LIMIT)


def milliseconds(assessed: ContainerHistory, peers: tuple[ContainerHistory, ...]) -> float:
    now_s = assessed.rss.last_s
    return (
        min(timeit.repeat(lambda: verdict_for(assessed, PARAMETERS, now_s, peers), number=ROUNDS, repeat=3))
        / ROUNDS
        * 1000
    )


def main() -> None:
    times, values = history(1, 0.5).rss.times_s[-360:], history(1, 0.5).rss.values[-360:]
    fit = min(timeit.repeat(lambda: np.polyfit(times, values, 1), number=ROUNDS, repeat=3)) / ROUNDS * 1000
    print(f"{'assessed':<42}{'ms per container':>18}{'against least squares':>24}")
    peers = tuple(history(seed, 0.3) for seed in range(2, 7))
    worst = 0.0
    for name, ratio, others in (
        ("a leak at half of its limit, alone", 0.5, ()),
        ("a leak at half of its limit, 5 peers", 0.5, peers),
        ("near the limit, 5 peers", 0.97, peers),
    ):
        cost = milliseconds(history(1, ratio), others)
        worst = max(worst, cost)
        print(f"{name:<42}{cost:>18.2f}{cost / fit:>23.1f}x")
    row = PrefilterRow("pod", "app", "id", (0.0,) * len(PREFILTER_WINDOWS), 360, 0.3 * LIMIT, 0.3 * LIMIT, 0.0)
    cost = min(timeit.repeat(lambda: prefilter_verdict(row, PARAMETERS, LIMIT, -1e6, 0.0), number=1000, repeat=3))
    print(f"{'dropped by the prefilter':<42}{cost:>18.4f}{cost / fit:>23.4f}x")
    amortised = cost + CANDIDATES_RATIO * worst
    print(f"\n{CONTAINERS} containers of which {CANDIDATES_RATIO:.0%} are candidates: {amortised:.3f} ms each")


if __name__ == "__main__":
    main()
