"""Detector on the sets of the second round: built and replayed seed by seed, then one table a set."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.backtest import policy
from memroll.backtest.runner import BacktestJob, run
from tests.bench.detect.outcome import FIGURES, Outcome, outcome_of
from tests.bench.detect.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.detect.long_sets import LongSet
    from tests.bench.detect.sets import Case

MIN_CASES = 40
"""Minimum number of cases that are replayed at once. Their samples are dropped before the next ones are built."""
INTERVAL_MIN = 5
"""Interval of the default policy, in minutes."""


@dataclass(slots=True)
class LongReport:
    """Outcomes of one set after another, printed as tables."""

    tables: Tables[Outcome] = field(default_factory=Tables)

    def add(self, long_set: LongSet, seeds: range, every: int, jobs: int) -> None:
        """Replay a set and print its table."""
        started = time.monotonic()
        outcomes = [o for cases in _chunks(long_set, seeds) for o in replayed(cases, every, jobs)]
        self.tables.begin(long_set.name, FIGURES)
        for title, some in rows_of(outcomes):
            self.tables.line(title, some)
        took_s, minutes = time.monotonic() - started, every * INTERVAL_MIN
        print(f"  evaluated every {minutes} min; {took_s:.0f} s with {jobs} processes", flush=True)


def _chunks(long_set: LongSet, seeds: range) -> Iterator[list[Case]]:
    cases: list[Case] = []
    for seed in seeds:
        cases += long_set.build(seed)
        if len(cases) >= MIN_CASES or seed == seeds[-1]:
            yield cases
            cases = []


def replayed(
    cases: Sequence[Case], every: int, jobs: int, progress: Callable[[int], None] = lambda _: None
) -> list[Outcome]:
    """Return the outcome of each case under the default policy."""
    job = BacktestJob([c.trace for c in cases], policy.default_policy(), rules=(), every=every)
    return [outcome_of(c, r) for c, r in zip(cases, run(job, jobs, progress), strict=True)]


def rows_of(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    """Yield the rows of a set's table: each kind, then those that differ in what the store has, then all."""
    kinds = list(dict.fromkeys(o.kind for o in outcomes))
    for kind in kinds:
        yield f"  {kind}", [o for o in outcomes if o.kind == kind]
    for variant in dict.fromkeys(k.split(", ")[1] for k in kinds if ", " in k):
        yield f"all {variant}", [o for o in outcomes if o.kind.endswith(f", {variant}")]
    for title, some in (
        ("all harmless", [o for o in outcomes if not o.leaks]),
        ("all leaks", [o for o in outcomes if o.leaks]),
    ):
        if some:
            yield title, some
