"""What judging costs: milliseconds per screened container and per suspect, and ratios to a least-squares fit.

Run it with `make bench`. Only the ratios compare between machines.
"""

from __future__ import annotations

import timeit

import numpy as np

from memroll.detection.container_history import LeadRule
from memroll.detection.prefilter import SHARES, screened
from memroll.detection.samples import ScreenRow
from memroll.detection.series import Series
from memroll.detection.verdict import Rule, Subject, judge

MIB = 2**20
HOUR_S = 3600.0
STEP_S = 60.0
LIMIT = 1024 * MIB
ROUNDS = 40
CONTAINERS = 5000
SUSPECTS_SHARE = 0.02
RULE = Rule(0.005 * LIMIT / HOUR_S, 6 * HOUR_S, 1800.0, 1800.0, lead=LeadRule(None, 510.0), interval_s=300.0)


def subject(seed: int, share: float) -> Subject:
    """Build 31 h of a container that has leaked up to this share of its limit."""
    times = np.arange(0, RULE.lookback_s, STEP_S)
    noise = np.random.default_rng(seed).normal(0, MIB, times.size)
    series = Series(times, 100 * MIB + times / times[-1] * (share * LIMIT - 100 * MIB) + noise)
    return Subject(series, series, 0.0, LIMIT)


def milliseconds(judged: Subject, peers: tuple[Subject, ...]) -> float:
    now_s = judged.rss.last_s
    return min(timeit.repeat(lambda: judge(judged, RULE, now_s, peers), number=ROUNDS, repeat=3)) / ROUNDS * 1000


def main() -> None:
    times, values = subject(1, 0.5).rss.times_s[-360:], subject(1, 0.5).rss.values[-360:]
    fit = min(timeit.repeat(lambda: np.polyfit(times, values, 1), number=ROUNDS, repeat=3)) / ROUNDS * 1000
    print(f"{'judged':<42}{'ms per container':>18}{'against least squares':>24}")
    peers = tuple(subject(seed, 0.3) for seed in range(2, 7))
    worst = 0.0
    for name, share, beside in (
        ("a leak at half of its limit, alone", 0.5, ()),
        ("a leak at half of its limit, 5 siblings", 0.5, peers),
        ("the last stretch, 5 siblings", 0.97, peers),
    ):
        cost = milliseconds(subject(1, share), beside)
        worst = max(worst, cost)
        print(f"{name:<42}{cost:>18.2f}{cost / fit:>23.1f}x")
    row = ScreenRow("pod", "app", "id", (0.0,) * len(SHARES), 360, 0.3 * LIMIT, 0.3 * LIMIT, 0.0)
    cost = min(timeit.repeat(lambda: screened(row, RULE, LIMIT, -1e6, 0.0), number=1000, repeat=3))
    print(f"{'screened out':<42}{cost:>18.4f}{cost / fit:>23.4f}x")
    amortised = cost + SUSPECTS_SHARE * worst
    print(f"\n{CONTAINERS} containers of which {SUSPECTS_SHARE:.0%} are suspects: {amortised:.3f} ms each")


if __name__ == "__main__":
    main()
