"""Benchmark of the detector on labelled traces: `make bench-detect`.

Environment: `SET=design` for the seeds that the detector was designed on instead of those of the test set;
`ONLY=fleets,slow` for some sets; `SIZE=small|moderate|full`, or `SLOW=10` for the number of seeds of one set (`FLEETS`
and `SINGLES` are the numbers of traces of each kind); `EVERY=n` to evaluate one interval of n; `JOBS=n`; `JSON=file`
for the figures; `TRACES=DIR` for recorded traces; `SENSITIVITY=1` for the price of each constant instead of all that,
`CURVE=1` for the figures as one of them moves.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from memroll.backtest import csv_traces, policy
from memroll.backtest.baselines.rules import RULE_NAMES
from memroll.backtest.runner import BacktestJob, run
from memroll.backtest.summary import policy_alerts
from tests.bench.detect import curve, sensitivity, sets
from tests.bench.detect.long_report import LongReport
from tests.bench.detect.long_sets import LONG_SETS, SIZES
from tests.bench.detect.rule_report import BenchReport
from tests.bench.detect.tables import write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

RULE_SETS = ("fleets", "singles")
RULE_SET_SIZES = {"fleets": (1, 3, 12), "singles": (2, 8, 24)}
"""Number of traces of each kind, for each of `SIZES`."""


def main() -> None:
    first = sets.DESIGN if os.environ.get("SET") == "design" else sets.TEST
    jobs = _number("JOBS", os.cpu_count() or 1)
    if os.environ.get("SENSITIVITY"):
        sensitivity.print_table(sets.DESIGN, jobs, minutes=_number("MINUTES", sensitivity.MINUTES))
        return
    if os.environ.get("CURVE"):
        title = os.environ["CURVE"] if "." in os.environ["CURVE"] else curve.DEFAULT
        curve.print_curve(sets.DESIGN, jobs, title, minutes=_number("MINUTES", sensitivity.MINUTES))
        return
    size, only = _choice("SIZE", SIZES, "moderate"), _only()
    started = time.monotonic()
    rules, long = BenchReport(), LongReport()
    if set(RULE_SETS) & only:
        _run_rules(rules, first, size, only, jobs)
    for name in (n for n in LONG_SETS if n in only):
        found = LONG_SETS[name]
        count = _number(name.upper().replace("-", "_"), found.count(size))
        long.add(found, range(first, first + count), _number("EVERY", found.every), jobs)
    took_s = time.monotonic() - started
    print(f"\n{took_s:.0f} s with {jobs} processes")
    if os.environ.get("JSON"):
        about = {"set": "design" if first == sets.DESIGN else "test", "size": size, "seconds": round(took_s)}
        write_json(Path(os.environ["JSON"]), about, rules.tables, long.tables)
    if os.environ.get("TRACES"):
        _print_recorded(Path(os.environ["TRACES"]), jobs)


def _run_rules(report: BenchReport, first: int, size: str, only: Collection[str], jobs: int) -> None:
    counts = {n: _number(n.upper(), RULE_SET_SIZES[n][SIZES.index(size)]) if n in only else 0 for n in RULE_SETS}
    cases = [*sets.fleets_of(first, counts["fleets"]), *sets.singles_of(first, counts["singles"])]
    job = BacktestJob([c.trace for c in cases], policy.default_policy(), rules=RULE_NAMES, every=_number("EVERY", 1))
    report.add(cases, run(job, jobs, _progress(len(cases))))
    report.print_rolls()
    report.print_reports()
    print(f"\n{len(cases)} containers, {sum(c.trace.days for c in cases):.0f} pod-days")


def _only() -> set[str]:
    known = (*RULE_SETS, *LONG_SETS)
    wanted = {n.strip() for n in os.environ.get("ONLY", "").split(",") if n.strip()}
    if wanted - set(known):
        sys.exit(f"ONLY: {', '.join(sorted(wanted - set(known)))}: no such set; there are: {', '.join(known)}")
    return wanted or set(known)


def _choice(name: str, allowed: Collection[str], default: str) -> str:
    value = os.environ.get(name) or default
    if value not in allowed:
        sys.exit(f"{name}: {value!r} must be one of: {', '.join(allowed)}")
    return value


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() and int(text) else default


def _print_recorded(directory: Path, jobs: int) -> None:
    traces = csv_traces.read(directory)
    alerts = policy_alerts(run(BacktestJob(traces, policy.default_policy(), rules=()), jobs, lambda _: None))
    print(f"\nRecorded traces of {directory.name}")
    for label in sorted({t.label for t in traces}):
        some = [a for a in alerts if a.trace.label == label]
        days = sum(a.trace.days for a in some)
        rolled = sum(a.rolled_s is not None for a in some)
        confirmed = sum(a.confirmed_s is not None for a in some)
        print(
            f"  {label or 'no label'}: {len(some)} traces, {days:.0f} pod-days: {rolled} rolled, {confirmed} confirmed"
        )


def _progress(total: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"{done} of {total}", file=sys.stderr)

    return report


if __name__ == "__main__":
    main()
