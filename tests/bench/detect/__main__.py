"""Benchmark of the detector against simpler rules on the same traces: `make bench-detect`.

The test set has other seeds than the set that the detector was designed on (`SET=design`). `TRACES=DIR` adds recorded
traces, `FLEETS` and `SINGLES` are the numbers of traces of each kind.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from memroll.backtest import csv_traces, policy
from memroll.backtest.baselines.rules import RULES
from memroll.backtest.runner import BacktestJob, run
from memroll.backtest.summary import baseline_alerts, policy_alerts
from tests.bench.detect import score, sets, singles
from tests.bench.detect.score import Scored, format_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll.backtest.runner import BacktestResult

ROLL_COLUMNS: tuple[tuple[str, Callable[[Sequence[Scored]], float], str], ...] = (
    ("harmless/1000 pod-days", score.per_1000_pod_days, ".1f"),
    ("saved", score.saved_ratio, ".3f"),
    ("1 h ahead", score.hour_ahead_ratio, ".2f"),
    ("1 h, slow leak", score.hour_ahead_of_slow_leaks_ratio, ".2f"),
    ("life wasted", score.wasted_ratio, ".2f"),
)
REPORT_COLUMNS: tuple[tuple[str, Callable[[Sequence[Scored]], float], str], ...] = (
    ("falsely confirmed", score.falsely_confirmed_ratio, ".3f"),
    ("recall", score.recall, ".2f"),
    ("delay h", score.delay_h, ".1f"),
    ("suspected h", score.suspicion_delay_h, ".1f"),
    ("before onset", score.confirmed_early_ratio, ".2f"),
)


@dataclass(slots=True)
class BenchReport:
    """Scores of all rules, printed as tables."""

    by_rule: dict[str, list[Scored]] = field(default_factory=dict)

    def add(self, cases: Sequence[sets.Case], results: Sequence[BacktestResult]) -> None:
        by_rule = {"memroll": policy_alerts(results)} | {r.name: baseline_alerts(r.name, results) for r in RULES}
        for name, alerts in by_rule.items():
            found = self.by_rule.setdefault(name, [])
            found += [Scored(c, a) for c, a in zip(cases, alerts, strict=True)]

    def of(self, name: str, *sets_: str, kinds: Sequence[str] = ()) -> list[Scored]:
        return [s for s in self.by_rule[name] if s.case.set in sets_ and (not kinds or s.case.kind in kinds)]

    def print_rolls(self) -> None:
        print("\nRolls in fleets\n" + _row("", [title for title, _, _ in ROLL_COLUMNS]))
        for set_ in ("roomy", "tight", "leaking"):
            for kind in sorted({s.case.kind for s in self.of("memroll", set_)}):
                self._line(f"  {set_} {kind}", self.of("memroll", set_, kinds=[kind]), ROLL_COLUMNS)
            for name in self.by_rule:
                self._line(f"{set_}: {name}", self.of(name, set_), ROLL_COLUMNS)

    def print_reports(self) -> None:
        print("\nReports\n" + _row("", [title for title, _, _ in REPORT_COLUMNS]))
        groups = {
            "core leaks": singles.CORE_LEAKS,
            "core harmless": singles.CORE_HARMLESS,
            "look-alikes": singles.LOOKALIKES,
            "hard leaks": singles.HARD_LEAKS,
        }
        for title, kinds in groups.items():
            for kind in kinds:
                self._line(f"  {kind}", self.of("memroll", "single", kinds=[kind]), REPORT_COLUMNS)
            self._line(f"single: {title}", self.of("memroll", "single", kinds=kinds), REPORT_COLUMNS)
        for set_ in ("roomy", "tight"):
            for kind in sorted({s.case.kind for s in self.of("memroll", set_)}):
                self._line(f"  {set_} {kind}", self.of("memroll", set_, kinds=[kind]), REPORT_COLUMNS)
            self._line(f"fleets: {set_}", self.of("memroll", set_), REPORT_COLUMNS)
        self._line("fleets: leaking", self.of("memroll", "leaking"), REPORT_COLUMNS)
        print("\nRolls of single containers\n" + _row("", [title for title, _, _ in ROLL_COLUMNS]))
        self._line("young leaks", self.of("memroll", "young"), ROLL_COLUMNS)
        self._line("core harmless", self.of("memroll", "single", kinds=singles.CORE_HARMLESS), ROLL_COLUMNS)
        self._line("core leaks", self.of("memroll", "single", kinds=singles.CORE_LEAKS), ROLL_COLUMNS)

    def _line(
        self,
        title: str,
        some: Sequence[Scored],
        columns: Sequence[tuple[str, Callable[[Sequence[Scored]], float], str]],
    ) -> None:
        print(_row(f"{title} ({len(some)})", [format_cell(figure, some, form) for _, figure, form in columns]))


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<40}" + "".join(f"{cell:>24}" for cell in cells)


def _print_recorded(directory: Path, jobs: int) -> None:
    traces = csv_traces.read(directory)
    alerts = policy_alerts(run(BacktestJob(traces, policy.default_policy(), rules=False), jobs, lambda _: None))
    print(f"\nRecorded traces of {directory.name}")
    for label in sorted({t.label for t in traces}):
        some = [a for a in alerts if a.trace.label == label]
        days = sum(a.trace.days for a in some)
        rolled = sum(a.rolled_s is not None for a in some)
        confirmed = sum(a.confirmed_s is not None for a in some)
        print(
            f"  {label or 'no label'}: {len(some)} traces, {days:.0f} pod-days: {rolled} rolled, {confirmed} confirmed"
        )


def main() -> None:
    first = sets.DESIGN if os.environ.get("SET") == "design" else sets.TEST
    jobs = int(os.environ.get("JOBS", "0")) or os.cpu_count() or 1
    cases = [
        *sets.fleets_of(first, int(os.environ.get("FLEETS", "3"))),
        *sets.singles_of(first, int(os.environ.get("SINGLES", "8"))),
    ]
    started = time.monotonic()
    results = run(
        BacktestJob([c.trace for c in cases], policy.default_policy(), rules=True), jobs, _progress(len(cases))
    )
    report = BenchReport()
    report.add(cases, results)
    report.print_rolls()
    report.print_reports()
    days = sum(c.trace.days for c in cases)
    took_s = time.monotonic() - started
    print(f"\n{len(cases)} containers, {days:.0f} pod-days in {took_s:.0f} s with {jobs} processes")
    if os.environ.get("TRACES"):
        _print_recorded(Path(os.environ["TRACES"]), jobs)


def _progress(total: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"{done} of {total}", file=sys.stderr)

    return report


if __name__ == "__main__":
    main()
