"""What a verdict costs: milliseconds per container, and as a ratio to an ordinary least-squares fit beside it.

Run it with `make bench`. Only the ratios compare between machines.
"""

from __future__ import annotations

import timeit

import numpy as np

from memroll.analysis.series import Series
from memroll.analysis.verdict import Rule, Subject, judge

MIB = 2**20
STEP_S = 30
ROUNDS = 200


def subject(samples: int) -> tuple[Subject, Rule, float]:
    """Build a leaking container with so many samples in the window."""
    window_s = float(samples * STEP_S)
    times = np.arange(0, 2 * window_s, STEP_S)
    noise = np.random.default_rng(1).normal(0, MIB, times.size)
    series = Series(times, 100 * MIB + times / times[-1] * 400 * MIB + noise)
    rule = Rule(threshold_bytes_per_s=1.0, window_s=window_s, warm_up_s=window_s / 12, persist_s=window_s / 12)
    return Subject(series, series, 0.0, 1024 * MIB), rule, float(times[-1])


def main() -> None:
    print(f"{'samples in window':>18}{'ms per container':>18}{'against least squares':>24}")
    for samples in (12, 120, 720):
        judged, rule, now_s = subject(samples)
        times, values = judged.rss.times_s[-samples:], judged.rss.values[-samples:]
        verdict = min(timeit.repeat(lambda: judge(judged, rule, now_s), number=ROUNDS, repeat=3)) / ROUNDS  # noqa: B023
        fit = min(timeit.repeat(lambda: np.polyfit(times, values, 1), number=ROUNDS, repeat=3)) / ROUNDS  # noqa: B023
        print(f"{samples:>18}{verdict * 1000:>18.2f}{verdict / fit:>23.1f}x")


if __name__ == "__main__":
    main()
