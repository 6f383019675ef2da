"""Detector and simpler rules on fleets and single containers: the tables of rolls and of reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.backtest.baselines.rules import RULES
from memroll.backtest.summary import baseline_alerts, policy_alerts
from tests.bench.detect import score, sets, singles
from tests.bench.detect.score import Scored
from tests.bench.detect.tables import Tables

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
    tables: Tables[Scored] = field(default_factory=Tables)

    def add(self, cases: Sequence[sets.Case], results: Sequence[BacktestResult]) -> None:
        by_rule = {"memroll": policy_alerts(results)} | {r.name: baseline_alerts(r.name, results) for r in RULES}
        for name, alerts in by_rule.items():
            found = self.by_rule.setdefault(name, [])
            found += [Scored(c, a) for c, a in zip(cases, alerts, strict=True)]

    def of(self, name: str, *sets_: str, kinds: Sequence[str] = ()) -> list[Scored]:
        return [s for s in self.by_rule[name] if s.case.set in sets_ and (not kinds or s.case.kind in kinds)]

    def print_rolls(self) -> None:
        self.tables.begin("Rolls in fleets", ROLL_COLUMNS)
        for set_ in ("roomy", "tight", "leaking"):
            for kind in sorted({s.case.kind for s in self.of("memroll", set_)}):
                self.tables.line(f"  {set_} {kind}", self.of("memroll", set_, kinds=[kind]))
            for name in self.by_rule:
                self.tables.line(f"{set_}: {name}", self.of(name, set_))

    def print_reports(self) -> None:
        self.tables.begin("Reports", REPORT_COLUMNS)
        groups = {
            "core leaks": singles.CORE_LEAKS,
            "core harmless": singles.CORE_HARMLESS,
            "look-alikes": singles.LOOKALIKES,
            "hard leaks": singles.HARD_LEAKS,
        }
        for title, kinds in groups.items():
            for kind in kinds:
                self.tables.line(f"  {kind}", self.of("memroll", "single", kinds=[kind]))
            self.tables.line(f"single: {title}", self.of("memroll", "single", kinds=kinds))
        for set_ in ("roomy", "tight"):
            for kind in sorted({s.case.kind for s in self.of("memroll", set_)}):
                self.tables.line(f"  {set_} {kind}", self.of("memroll", set_, kinds=[kind]))
            self.tables.line(f"fleets: {set_}", self.of("memroll", set_))
        self.tables.line("fleets: leaking", self.of("memroll", "leaking"))
        self.tables.begin("Rolls of single containers", ROLL_COLUMNS)
        self.tables.line("young leaks", self.of("memroll", "young"))
        self.tables.line("core harmless", self.of("memroll", "single", kinds=singles.CORE_HARMLESS))
        self.tables.line("core leaks", self.of("memroll", "single", kinds=singles.CORE_LEAKS))
