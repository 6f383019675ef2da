"""The HTML report: a sentence, a chart, and one self-contained page, whatever the data contain."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from memroll.backtest import html_report, policy
from memroll.backtest.baselines.rules import RULE_NAMES
from memroll.backtest.replay import Evaluation
from memroll.backtest.runner import BacktestJob, BacktestResult, run
from memroll.cli import run as command
from memroll.detection.series import EMPTY
from memroll.pages.times import PageClock
from tests.html_page import checked
from tests.unit.backtest.histories import line, three, trace

HOSTILE = '"><script>alert("x")</script>&$name{{7*7}}\x1b[31m\u202e'
EPOCH_S = datetime(2026, 3, 1, tzinfo=UTC).timestamp()


def replayed(*traces, rules=RULE_NAMES):
    return run(BacktestJob(traces, policy.default_policy(), rules=rules), 1, lambda _: None)


def render(results, *, rules=RULE_NAMES, plots=200, **changes):
    return html_report.render_page(results, policy.default_policy(), rules=rules, plots=plots, **changes)


@pytest.fixture(scope="module")
def results():
    times, values = line(60, per_hour_mib=40, from_hour=30)
    return replayed(
        trace(times + EPOCH_S, values, name="leaking", label="leak", oom_s=EPOCH_S + float(times[-1])),
        trace(*line(12), name=HOSTILE, workload=HOSTILE, label=HOSTILE),
        trace(*line(12), name="free", limit=None),
        trace(*line(1), name="young"),
    )


@pytest.fixture(scope="module")
def page(results):
    return render(results)


def test_the_page_is_well_formed_and_loads_nothing(page):
    assert "<meta http-equiv=" in page
    assert checked(page).tags.count("svg") == 4


def test_it_opens_with_a_sentence_then_a_chart_then_the_contents(page):
    words = checked(page).text
    order = ["memroll would have rolled 1 of 2 containers", "Compared with simpler rules", "Contents", "Moment"]
    places = [words.index(part) for part in order]
    assert places == sorted(places)


def test_every_trace_is_named_and_no_data_becomes_markup(page):
    words = checked(page).words
    for name in ("leaking", '"><script>alert("x")</script>&$name{{7*7}}', "free"):
        assert name in words


def test_the_same_results_make_the_same_page(results, page):
    assert render(results) == page


def test_bad_outcomes_come_first_and_plots_are_bounded(results):
    one = checked(render(results[::-1], plots=1))
    assert one.tags.count("svg") == 1
    assert one.headings == [
        "Compared with simpler rules",
        "✓Rolled before the OOM kill (1)",
        "leaking leak",
        "!Not assessed (2)",
        "✓Healthy (1)",
    ]
    assert "3 more containers are listed without a plot: --plots 1." in one.text
    assert {"free", "young"} <= set(one.text.split()), "listed with their reason"


def test_traces_that_were_not_assessed_are_a_group_of_their_own(page, results):
    words = checked(page).text
    assert "pod-days of 2 containers" in words
    assert "2 more could not be assessed, and are not known as healthy" in words
    group = words[words.index("Not enough data") : words.index("Assessed, and never suspected.")]
    assert "not assessed: WarmingUp" in group
    assert "not assessed: NoMemoryLimit" in group
    assert "could not be assessed" not in checked(render(results[:1], plots=0)).text


def test_a_trace_without_an_rss_is_drawn_as_well(results):
    [whole] = (r.trace for r in results if r.trace.name == "leaking")
    bare = replace(whole, history=replace(whole.history, rss=EMPTY, working_set=replace(whole.history.rss)))
    found = checked(render(replayed(bare), plots=1))
    assert "not assessed: NoRss" in found.text
    assert found.tags.count("svg") == 1


def test_names_of_the_moments_are_in_the_plot_with_their_ages(page):
    first = page[page.index('class="plot"') : page.index("</figure>")]
    for text in ("suspected", "confirmed", "rolled", "OOM-killed"):
        assert re.search(rf"<span>{text} \d+h", first), text
    assert "limit<br>1 GiB" in first
    assert "anonymous memory" in first
    assert "age of the container, time in UTC" in first


def test_moments_have_times_of_the_clock_and_ages_in_the_order_of_time(page):
    words = checked(page).text
    table = words[words.index("Moment Time (UTC)") : words.index("Statistics of the trend")]
    rows = re.findall(r"(suspected|confirmed|rolled|OOM-killed) (\w{3} \d \w{3} \d\d:\d\d) (\d+h)", table)
    assert len(rows) == 4
    days = [datetime.strptime(f"2026 {at}", "%Y %a %d %b %H:%M").replace(tzinfo=UTC) for _, at, _ in rows]
    assert days == sorted(days)
    assert rows[-1][0] == "OOM-killed"


def test_a_roll_before_the_confirmation_is_listed_before_it(results):
    leaking = results[0]
    late = Evaluation(leaking.replay.rolled.at_s + 600, leaking.replay.rolled.verdict)
    found = [BacktestResult(leaking.trace, replace(leaking.replay, confirmed=late), {})]
    words = checked(render(found, rules=())).text
    table = words[words.index("Moment Time (UTC)") :]
    assert table.index("rolled") < table.index("confirmed")
    assert "trend suspected rolled confirmed slope of the lower envelope" in words, "the statistics as well"


def test_a_page_in_another_zone_names_it(results):
    words = checked(render(results, clock=PageClock(ZoneInfo("Asia/Tokyo")))).text
    assert "Time (JST)" in words
    assert "(UTC)" not in words


def test_traces_with_a_clock_of_their_own_have_ages_only():
    words = checked(render(replayed(trace(*line(40, per_hour_mib=30, from_hour=10))))).text
    assert "1970" not in words
    assert "UTC" not in words
    assert "Moment Age" in words


def test_without_rules_the_page_compares_nothing(results):
    one = checked(render(results, rules=(), plots=1))
    assert "working-set-80" not in one.text
    assert "Compared" not in one.text


def test_a_verdict_without_a_trend_is_drawn_as_well(results):
    bare = results[0]
    rolled = Evaluation(bare.replay.rolled.at_s, replace(bare.replay.rolled.verdict, trend=None))
    found = [BacktestResult(bare.trace, replace(bare.replay, rolled=rolled), {})]
    assert "fitted slope" not in checked(render(found, rules=())).text


def test_a_page_without_containers_is_a_page(page):
    assert "No container could be assessed." in checked(render([])).text


def test_many_containers_of_a_group_are_linked_from_a_closed_list(results):
    many = [replace(results[1], trace=replace(results[1].trace, name=f"web-{n}", label="")) for n in range(20)]
    content = render(many)
    contents = content[content.index("<nav") : content.index("</nav>")]
    assert '<details><summary class="small">20 plots</summary>' in contents
    assert contents.count('href="#container-') == 20
    checked(content)


def test_the_command_writes_it(tmp_path, capsys):
    file = tmp_path / "r.html"
    assert (
        command(["memroll", "backtest", "--traces", str(three(tmp_path)), "--report", str(file), "--plots", "2"]) == 0
    )
    assert checked(file.read_text()).tags.count("svg") == 2


def test_a_report_that_can_t_be_written_is_an_error_before_the_replay(tmp_path, capsys):
    assert command(["memroll", "backtest", "--traces", "nowhere", "--report", str(tmp_path / "no" / "r.html")]) == 2
    assert "--report" in capsys.readouterr().err
