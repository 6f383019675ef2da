"""The tables of fleets and single containers, over two containers and all rules."""

from __future__ import annotations

from memroll.backtest import policy
from memroll.backtest.baselines.rules import RULE_NAMES, RULES
from memroll.backtest.runner import BacktestJob, run
from tests.bench.detect.rule_report import REPORT_COLUMNS, ROLL_COLUMNS, BenchReport
from tests.bench.detect.sets import case_of, rng_of
from tests.bench.detect.singles import single


def test_all_rules_have_figures(capsys):
    steady, flat = (single(kind, rng_of(4)) for kind in ("steady", "flat"))
    cases = [case_of(flat, "tight", "daily"), case_of(steady, "leaking", "alone"), case_of(steady, "single", "steady")]
    report = BenchReport()
    job = BacktestJob([c.trace for c in cases], policy.default_policy(), rules=RULE_NAMES, every=6)
    report.add(cases, run(job, 1, lambda _: None))
    report.print_rolls()
    report.print_reports()
    rolls, reports = report.tables.figures["Rolls in fleets"], report.tables.figures["Reports"]
    assert {f"leaking: {r.name}" for r in RULES} | {"leaking: memroll"} <= set(rolls)
    assert rolls["leaking: memroll"]["saved"] == 1.0
    assert rolls["tight: memroll"]["harmless/1000 pod-days"] == 0.0
    assert reports["single: core leaks"]["recall"] == 1.0
    assert set(rolls["leaking: memroll"]) == {"containers", *(name for name, _, _ in ROLL_COLUMNS)}
    assert set(reports["single: core leaks"]) == {"containers", *(name for name, _, _ in REPORT_COLUMNS)}
    assert "Rolls of single containers" in capsys.readouterr().out
