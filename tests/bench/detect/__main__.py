"""What the detector is worth, beside simpler rules on the same traces: `make bench-detect`.

The test set has other seeds than the one that the detector was designed on (`SET=design`). `TRACES=DIR` adds recorded
traces, `FLEETS` and `SINGLES` say how many of each kind are made.
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
from memroll.backtest.runner import Work, run
from memroll.backtest.summary import of_policy, of_rule
from tests.bench.detect import score, sets, singles
from tests.bench.detect.score import Scored, column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll.backtest.runner import Result

ACTING: tuple[tuple[str, Callable[[Sequence[Scored]], float], str], ...] = (
    ("innocent/1000 pod-days", score.per_1000_pod_days, ".1f"),
    ("saved", score.saved_share, ".3f"),
    ("1 h ahead", score.hour_ahead_share, ".2f"),
    ("1 h, slow leak", score.hour_ahead_of_slow_leaks_share, ".2f"),
    ("life wasted", score.wasted_share, ".2f"),
)
TELLING: tuple[tuple[str, Callable[[Sequence[Scored]], float], str], ...] = (
    ("falsely confirmed", score.falsely_confirmed_share, ".3f"),
    ("recall", score.recall_share, ".2f"),
    ("delay h", score.delay_h, ".1f"),
    ("suspected h", score.suspicion_delay_h, ".1f"),
    ("before onset", score.confirmed_early_share, ".2f"),
)


@dataclass(slots=True)
class Report:
    """Prints one table after the other."""

    by_rule: dict[str, list[Scored]] = field(default_factory=dict)

    def add(self, cases: Sequence[sets.Case], results: Sequence[Result]) -> None:
        told = {"memroll": of_policy(results)} | {r.name: of_rule(r.name, results) for r in RULES}
        for name, alarms in told.items():
            found = self.by_rule.setdefault(name, [])
            found += [Scored(c, a) for c, a in zip(cases, alarms, strict=True)]

    def of(self, name: str, *sets_: str, kinds: Sequence[str] = ()) -> list[Scored]:
        return [s for s in self.by_rule[name] if s.case.set in sets_ and (not kinds or s.case.kind in kinds)]

    def acting(self) -> None:
        print("\nActing on fleets\n" + _row("", [title for title, _, _ in ACTING]))
        for set_ in ("roomy", "tight", "leaking"):
            for kind in sorted({s.case.kind for s in self.of("memroll", set_)}):
                self._line(f"  {set_} {kind}", self.of("memroll", set_, kinds=[kind]), ACTING)
            for name in self.by_rule:
                self._line(f"{set_}: {name}", self.of(name, set_), ACTING)

    def telling(self) -> None:
        print("\nTelling\n" + _row("", [title for title, _, _ in TELLING]))
        groups = {
            "core leaks": singles.CORE_LEAKS,
            "core harmless": singles.CORE_HARMLESS,
            "look-alikes": singles.LOOKALIKES,
            "hard leaks": singles.HARD_LEAKS,
        }
        for title, kinds in groups.items():
            for kind in kinds:
                self._line(f"  {kind}", self.of("memroll", "single", kinds=[kind]), TELLING)
            self._line(f"single: {title}", self.of("memroll", "single", kinds=kinds), TELLING)
        for set_ in ("roomy", "tight"):
            for kind in sorted({s.case.kind for s in self.of("memroll", set_)}):
                self._line(f"  {set_} {kind}", self.of("memroll", set_, kinds=[kind]), TELLING)
            self._line(f"cohorts: {set_}", self.of("memroll", set_), TELLING)
        self._line("cohorts: leaking", self.of("memroll", "leaking"), TELLING)
        print("\nSingle containers, acting\n" + _row("", [title for title, _, _ in ACTING]))
        self._line("young leaks", self.of("memroll", "young"), ACTING)
        self._line("core harmless", self.of("memroll", "single", kinds=singles.CORE_HARMLESS), ACTING)
        self._line("core leaks", self.of("memroll", "single", kinds=singles.CORE_LEAKS), ACTING)

    def _line(
        self,
        title: str,
        some: Sequence[Scored],
        columns: Sequence[tuple[str, Callable[[Sequence[Scored]], float], str]],
    ) -> None:
        print(_row(f"{title} ({len(some)})", [column(figure, some, form) for _, figure, form in columns]))


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<40}" + "".join(f"{cell:>24}" for cell in cells)


def _recorded(directory: Path, jobs: int) -> None:
    traces = csv_traces.read(directory)
    alarms = of_policy(run(Work(traces, policy.default(), rules=False), jobs, lambda _: None))
    print(f"\nRecorded traces of {directory.name}")
    for label in sorted({t.label for t in traces}):
        some = [a for a in alarms if a.trace.label == label]
        days = sum(a.trace.days for a in some)
        acted = sum(a.acted_s is not None for a in some)
        confirmed = sum(a.confirmed_s is not None for a in some)
        print(
            f"  {label or 'no label'}: {len(some)} traces, {days:.0f} pod-days: {acted} acted on, {confirmed} confirmed"
        )


def main() -> None:
    first = sets.DESIGN if os.environ.get("SET") == "design" else sets.TEST
    jobs = int(os.environ.get("JOBS", "0")) or os.cpu_count() or 1
    cases = [
        *sets.fleets_of(first, int(os.environ.get("FLEETS", "3"))),
        *sets.singles_of(first, int(os.environ.get("SINGLES", "8"))),
    ]
    started = time.monotonic()
    results = run(Work([c.trace for c in cases], policy.default(), rules=True), jobs, _progress(len(cases)))
    report = Report()
    report.add(cases, results)
    report.acting()
    report.telling()
    days = sum(c.trace.days for c in cases)
    took_s = time.monotonic() - started
    print(f"\n{len(cases)} containers, {days:.0f} pod-days in {took_s:.0f} s with {jobs} processes")
    if os.environ.get("TRACES"):
        _recorded(Path(os.environ["TRACES"]), jobs)


def _progress(total: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"{done} of {total}", file=sys.stderr)

    return tell


if __name__ == "__main__":
    main()
