"""Price of each constant: the benchmark's figures with a lower and a higher value of it, one at a time.

`make bench-detect SENSITIVITY=1`. It runs a part of the design set, so that all constants take about an hour and a half
at most: the difference may be that of a single container, and the full set decides.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memroll.backtest import policy
from memroll.backtest.runner import BacktestJob, BacktestResult
from tests.bench.detect import constants, long_sets, outcome, sets
from tests.bench.detect.tables import Tables, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.detect.constants import Constant
    from tests.bench.detect.outcome import Outcome
    from tests.bench.detect.sets import Case

MINUTES = 90
"""Time after which no further constant is varied, in minutes."""
EVERY = 3
"""One of this many intervals is evaluated: 15 min."""
PER_WORKLOAD = {"tight": 3, "leaking": 3, "slow": 2, "page-cache": 1, "other-memory": 1, "cpu": 2, "sick-peer": 1}
"""Number of pods of a workload that are evaluated, by set; the others are their peers."""
COLUMNS: tuple[tuple[str, Callable[[Sequence[Outcome]], float], str], ...] = (
    ("rolled/1000", outcome.rolled_per_1000, "+.1f"),
    ("saved", outcome.saved, "+.3f"),
    ("1 h, slow leak", outcome.hour_ahead, "+.3f"),
    ("reported in time", outcome.reported_ahead, "+.3f"),
    ("wasted", outcome.wasted, "+.3f"),
    ("falsely confirmed", outcome.falsely_confirmed, "+.4f"),
)

Task = tuple["Constant | None", float]
_cases: list[Case] = []
"""Cases of a worker process, built once when it starts."""


def small_set(first: int) -> list[Case]:
    """Return the sub-set: one fleet of each kind, and one seed of the long sets."""
    long = (c for name, found in long_sets.LONG_SETS.items() if name in PER_WORKLOAD for c in found.build(first))
    return [c for c in (*sets.fleets_of(first, 1), *long) if c.set in PER_WORKLOAD]


def evaluated(cases: Sequence[Case]) -> list[int]:
    """Return the indexes of the cases that are evaluated: of each workload some, spread over its pods."""
    workloads: dict[str, list[int]] = {}
    for n, case in enumerate(cases):
        workloads.setdefault(case.trace.workload or case.trace.name, []).append(n)
    chosen: set[int] = set()
    for pods in workloads.values():
        wanted = min(len(pods), PER_WORKLOAD.get(cases[pods[0]].set, len(pods)))
        chosen |= {pods[int(i)] for i in np.linspace(0, len(pods) - 1, wanted)}
    return sorted(chosen)


def _outcomes(cases: Sequence[Case]) -> list[Outcome]:
    job = BacktestJob([c.trace for c in cases], policy.default_policy(), rules=(), every=EVERY)
    chosen = evaluated(cases)
    return [outcome.outcome_of(cases[n], BacktestResult(cases[n].trace, *job.run(n))) for n in chosen]


def start(first: int) -> None:
    """Build the cases of a worker process."""
    _cases[:] = small_set(first)


def figures_with(constant: Constant | None, value: float, cases: Sequence[Case]) -> list[float]:
    """Return the figures of the columns with this value of a constant; None: with all constants unchanged."""
    if constant is None:
        outcomes = _outcomes(cases)
    else:
        with constants.varied(constant, value):
            outcomes = _outcomes(cases)
    return [figure(outcomes) for _, figure, _ in COLUMNS]


def run_task(task: tuple[Task, float]) -> list[float] | str:
    """Return the figures with a value of a constant, or the reason for which there are none.

    `task`: the constant and the value, and the time after which none is begun.
    """
    (constant, value), until_s = task
    if time.monotonic() > until_s:
        return "not varied: no time left"
    try:
        return figures_with(constant, value, _cases)
    except Exception as error:  # noqa: BLE001 - a value that the code does not permit is a result
        return f"fails: {type(error).__name__}: {error}"[:80]


def print_table(first: int, jobs: int, minutes: int = MINUTES) -> None:
    """Print the change of each figure for both values of each constant, then the constants that are not varied."""
    found, left = constants.found()
    started = time.monotonic()
    until_s = started + minutes * 60
    tasks = [(c, value) for c in found for value in c.others()]
    tables: Tables[float] = Tables()
    with ProcessPoolExecutor(jobs, initializer=start, initargs=(first,)) as pool:
        base = pool.submit(run_task, ((None, 0.0), until_s)).result()
        assert not isinstance(base, str), base
        took_s = time.monotonic() - started
        print(f"One value: {took_s:.0f} s; {len(tasks)} values, at most {minutes} min, {jobs} processes; unchanged:")
        print("  " + ", ".join(f"{name} {n:.4g}" for (name, _, _), n in zip(COLUMNS, base, strict=True)))
        tables.begin("Change of each figure", _picks())
        for (constant, value), result in zip(tasks, pool.map(run_task, [(t, until_s) for t in tasks]), strict=True):
            title, note = f"{constant.module}.{constant.title}", f"{constant.value:.4g} -> {value:.4g}"
            if isinstance(result, str):
                print(f"{title} {note}: {result}")
            else:
                tables.line(f"{title} {value:.4g}", [float(n - b) for n, b in zip(result, base, strict=True)], note)
    for title, reason in left.items():
        print(f"not varied: {title}: {reason}")
    print(f"\n{time.monotonic() - started:.0f} s with {jobs} processes")
    if os.environ.get("JSON"):
        unchanged = {name: float(n) for (name, _, _), n in zip(COLUMNS, base, strict=True) if not np.isnan(n)}
        write_json(Path(os.environ["JSON"]), {"unchanged": unchanged, "not_varied": left}, tables)


def _picks() -> list[tuple[str, Callable[[Sequence[float]], float], str]]:
    """Return the columns of a row that is the changes themselves."""
    return [(name, itemgetter(n), form) for n, (name, _, form) in enumerate(COLUMNS)]
