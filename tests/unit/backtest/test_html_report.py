"""The HTML report: one self-contained page, whatever the data contain."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from memroll.backtest import html_report, policy
from memroll.backtest.baselines.rules import RULE_NAMES
from memroll.backtest.replay import Evaluation
from memroll.backtest.runner import BacktestJob, BacktestResult, run
from memroll.cli import run as command
from memroll.detection.series import EMPTY
from tests.unit.backtest.histories import LIMIT, line, three, trace

HOSTILE = '<script>alert("x")</script>&$name'
VOID = {"meta", "link", "br", "img", "hr"}


class Checker(HTMLParser):
    """Parser that fails on unmatched tags and collects references that could load something."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.ids, self.tags, self.description = [], [], [], set(), ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.loads += [v for k, v in attributes if k in {"src", "href", "xlink:href", "data", "action", "srcset"}]
        self.ids += [v for k, v in attributes if k == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.description += data


def checked(text):
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.open == []
    return checker


@pytest.fixture(scope="module")
def results():
    traces = [
        trace(*line(60, per_hour_mib=40, from_hour=30), name="leaking", label="leak", oom_s=55 * 3600.0),
        trace(*line(12), name=HOSTILE, workload=HOSTILE, label=HOSTILE),
        trace(*line(12), name="free", limit=None),
        trace(*line(1), name="young"),
    ]
    return run(BacktestJob(traces, policy.default_policy(), rules=RULE_NAMES), 1, lambda _: None)


@pytest.fixture(scope="module")
def page(results):
    return html_report.render_page(results, policy.default_policy(), rules=RULE_NAMES, plots=200)


def test_the_page_is_well_formed_and_loads_nothing(page):
    found = checked(page)
    assert all(value.startswith("#") for value in found.loads)
    assert "url(http" not in page
    assert "@import" not in page
    assert not found.tags & {"script", "img", "link", "iframe", "object", "image"}
    assert len(found.ids) == len(set(found.ids))


def test_every_reference_in_a_plot_resolves_within_the_page(page):
    referred = {v.removeprefix("#") for v in checked(page).loads} | set(re.findall(r"url\(#([^)]*)\)", page))
    assert referred
    assert referred <= set(checked(page).ids)


def test_every_trace_is_named_and_no_data_becomes_markup(page):
    words = checked(page).description
    for name in ("leaking", HOSTILE, "free"):
        assert name in words
    assert "<script" not in page


def test_the_same_results_make_the_same_page(results, page):
    assert html_report.render_page(results, policy.default_policy(), rules=RULE_NAMES, plots=200) == page


def test_rolled_traces_come_first_and_plots_are_bounded(results):
    one = html_report.render_page(results[::-1], policy.default_policy(), rules=RULE_NAMES, plots=1)
    assert one.count("<svg") == 1
    assert re.findall(r"<h3>(.*?)</h3>", one) == ["leaking"]
    assert "3 more containers are not drawn: --plots 1." in one


def test_traces_that_were_not_assessed_are_counted_apart(page, results):
    words = checked(page).description
    assert "2 containers, " in words
    assert "; 2 more could not be assessed, and are no healthy ones" in words
    assert "not assessed: WarmingUp" in words
    assert "not assessed: NoMemoryLimit" in words
    only = html_report.render_page(results[:1], policy.default_policy(), rules=RULE_NAMES, plots=0)
    assert "could not be assessed" not in only


def test_a_trace_without_an_rss_is_drawn_as_well(results):
    [whole] = (r.trace for r in results if r.trace.name == "leaking")
    bare = replace(whole, history=replace(whole.history, rss=EMPTY, working_set=replace(whole.history.rss)))
    found = run(BacktestJob([bare], policy.default_policy(), rules=RULE_NAMES), 1, lambda _: None)
    page = html_report.render_page(found, policy.default_policy(), rules=RULE_NAMES, plots=1)
    assert "not assessed: NoRss" in checked(page).description
    assert page.count("<svg") == 1


def test_a_plot_shows_stages_limit_and_kills(page):
    first = page[page.index("<svg") : page.index("</svg>")]
    for text in ("suspected", "confirmed", "rolled", "limit", "OOM kill", "anonymous memory", "age in hours"):
        assert f">{text}<" in first
    assert "OOM kill" not in page[page.index("</svg>") :].split("<svg", 1)[1]


def test_the_figures_of_each_evaluation_are_shown(results):
    leaking = results[0]
    rolled = leaking.replay.rolled
    rows = {name: rest for name, *rest in html_report.evaluation_rows(leaking, (rolled, rolled))}
    assert rows["verdict"] == [rolled.description] * 2
    assert rows["working set"][0].endswith(f"({rolled.verdict.usage_bytes / LIMIT:.0%} of the limit)")
    assert {"age", "slope of the lower envelope", "99 % confidence bounds of the slope"} <= set(rows)
    assert {"time to the limit", "lead time"} <= set(rows)


def test_without_rules_the_page_compares_nothing(results):
    assert "working-set-80" not in html_report.render_page(results, policy.default_policy(), rules=(), plots=1)


def test_a_verdict_without_a_trend_is_drawn_as_well(results):
    bare = results[0]
    rolled = Evaluation(bare.replay.rolled.at_s, replace(bare.replay.rolled.verdict, trend=None))
    found = replace(bare.replay, rolled=rolled)
    checked(
        html_report.render_page([BacktestResult(bare.trace, found, {})], policy.default_policy(), rules=(), plots=1)
    )


def test_the_command_writes_it(tmp_path, capsys):
    file = tmp_path / "r.html"
    assert (
        command(["memroll", "backtest", "--traces", str(three(tmp_path)), "--report", str(file), "--plots", "2"]) == 0
    )
    assert file.read_text().count("<svg") == 2


def test_without_matplotlib_the_error_names_the_remedy(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("memroll.backtest.html_report.find_spec", lambda _: None)
    file = tmp_path / "r.html"
    assert command(["memroll", "backtest", "--traces", str(tmp_path), "--report", str(file)]) == 2
    assert "pip install '.[report]'" in capsys.readouterr().err


def test_a_report_that_can_t_be_written_is_an_error_before_the_replay(tmp_path, capsys):
    assert command(["memroll", "backtest", "--traces", "nowhere", "--report", str(tmp_path / "no" / "r.html")]) == 2
    assert "--report" in capsys.readouterr().err
