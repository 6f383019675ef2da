"""Curve of rolled healthy pods against saved pods as one constant moves: `make bench-detect CURVE=1`.

The constant is the longest lead time of `Auto`, or the one that `CURVE` names, such as `exhaustion.MIN_USAGE_RATIO`. It
runs the same part of the design set as `sensitivity`.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from tests.bench.detect import constants, sensitivity
from tests.bench.detect.tables import Tables

if TYPE_CHECKING:
    from tests.bench.detect.constants import Constant

DEFAULT = "lead_time.MAX_LEAD_WINDOWS"
"""Longest lead time of `Auto`, in windows."""
FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Factors of the constant, one row each."""


def find(title: str) -> Constant:
    """Return the constant of this module and name; end with the known ones if there is none."""
    found = {f"{c.module}.{c.title}": c for c in constants.found()[0]}
    if title not in found:
        sys.exit(f"CURVE: {title!r} must be one of: {', '.join(sorted(found))}")
    return found[title]


def print_curve(first: int, jobs: int, title: str, minutes: int = sensitivity.MINUTES) -> None:
    """Print the figures for each value of the constant."""
    constant, started = find(title), time.monotonic()
    until_s = started + minutes * 60
    columns = [
        (name, lambda row, n=n: row[n], form.lstrip("+")) for n, (name, _, form) in enumerate(sensitivity.COLUMNS)
    ]
    tables: Tables[float] = Tables()
    tables.begin(f"{title}, now {constant.value:.4g}", columns)
    tasks = [((constant, constant.value * factor), until_s) for factor in FACTORS]
    with ProcessPoolExecutor(jobs, initializer=sensitivity.start, initargs=(first,)) as pool:
        for ((_, value), _), result in zip(tasks, pool.map(sensitivity.run_task, tasks), strict=True):
            if isinstance(result, str):
                print(f"{value:.4g}: {result}")
            else:
                tables.line(f"{value:.4g}", result)
    print(f"\n{time.monotonic() - started:.0f} s with {jobs} processes")
