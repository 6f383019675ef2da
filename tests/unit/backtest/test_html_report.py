"""The report: one page that needs nothing else, whatever the data hold."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from memroll.backtest import html_report, policy
from memroll.backtest.replay import Moment
from memroll.backtest.runner import Result, Work, run
from memroll.cli import run as command
from tests.unit.backtest.histories import LIMIT, line, three, trace

HOSTILE = '<script>alert("x")</script>&$name'
VOID = {"meta", "link", "br", "img", "hr"}


class Checker(HTMLParser):
    """Fails on tags that do not match, and collects what could load something."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.ids, self.tags, self.words = [], [], [], set(), ""

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
        self.words += data


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
    ]
    return run(Work(traces, policy.default(), rules=True), 1, lambda _: None)


@pytest.fixture(scope="module")
def page(results):
    return html_report.page(results, policy.default(), rules=True, plots=200)


def test_the_page_is_well_formed_and_loads_nothing(page):
    found = checked(page)
    assert all(value.startswith("#") for value in found.loads)
    assert "url(http" not in page
    assert "@import" not in page
    assert not found.tags & {"script", "img", "link", "iframe", "object", "image"}
    assert len(found.ids) == len(set(found.ids))


def test_what_a_picture_refers_to_is_there(page):
    referred = {v.removeprefix("#") for v in checked(page).loads} | set(re.findall(r"url\(#([^)]*)\)", page))
    assert referred
    assert referred <= set(checked(page).ids)


def test_every_trace_is_named_and_nothing_of_the_data_is_markup(page):
    words = checked(page).words
    for name in ("leaking", HOSTILE, "free"):
        assert name in words
    assert "<script" not in page


def test_the_same_results_make_the_same_page(results, page):
    assert html_report.page(results, policy.default(), rules=True, plots=200) == page


def test_the_acted_on_come_first_and_plots_are_bounded(results):
    one = html_report.page(results[::-1], policy.default(), rules=True, plots=1)
    assert one.count("<svg") == 1
    assert re.findall(r"<h3>(.*?)</h3>", one) == ["leaking"]
    assert "2 more containers are not drawn: --plots 1." in one


def test_a_picture_shows_what_was_told_and_done(page):
    first = page[page.index("<svg") : page.index("</svg>")]
    for words in ("suspected", "confirmed", "acted", "limit", "OOM kill", "anonymous memory", "age in hours"):
        assert f">{words}<" in first
    assert "OOM kill" not in page[page.index("</svg>") :].split("<svg", 1)[1]


def test_the_numbers_of_each_moment_are_beside_it(results):
    leaking = results[0]
    acted = leaking.found.acted
    rows = {name: rest for name, *rest in html_report.numbers_of(leaking, (acted, acted))}
    assert rows["verdict"] == [acted.words] * 2
    assert rows["working set"][0].endswith(f"({acted.verdict.usage_bytes / LIMIT:.0%} of the limit)")
    assert {"age", "slope of the floor", "its 99 % bounds", "time to the limit", "lead"} <= set(rows)


def test_without_rules_the_page_compares_nothing(results):
    assert "working-set-80" not in html_report.page(results, policy.default(), rules=False, plots=1)


def test_a_verdict_without_a_trend_is_drawn_as_well(results):
    bare = results[0]
    acted = Moment(bare.found.acted.at_s, replace(bare.found.acted.verdict, trend=None))
    found = replace(bare.found, acted=acted)
    checked(html_report.page([Result(bare.trace, found, {})], policy.default(), rules=False, plots=1))


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
    assert "pip install 'memroll[report]'" in capsys.readouterr().err


def test_a_report_that_can_t_be_written_is_said_before_the_work(tmp_path, capsys):
    assert command(["memroll", "backtest", "--traces", "nowhere", "--report", str(tmp_path / "no" / "r.html")]) == 2
    assert "--report" in capsys.readouterr().err
