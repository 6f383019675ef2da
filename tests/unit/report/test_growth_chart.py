"""Chart of the leak page: one row per revision, as long as its growth."""

from __future__ import annotations

from memroll.pages.times import PageClock
from memroll.report.growth_chart import chart_rows
from tests import report_objects
from tests.report_pages import leak_report


def test_the_fastest_growth_has_the_longest_bar_and_earlier_revisions_have_no_name():
    rows = list(chart_rows(leak_report(), PageClock()))
    assert [(r.service, r.growth, r.growth_percent) for r in rows] == [
        ("ai/Deployment/chat: chat", "58.4 MiB", 100.0),
        ("", "19.5 MiB", 33.4),
        ("ai/StatefulSet/agent: agent", "6.1 MiB", 10.4),
    ]


def test_oom_kills_since_the_first_roll_are_bad_and_none_is_good():
    rows = list(chart_rows(leak_report(), PageClock()))
    assert [(r.oom_kills, r.severity) for r in rows] == [
        ("2 before the first roll, 0 since", "good"), ("0 before the first roll, 0 since", "good"), ("1", "quiet"),
    ]  # fmt: skip
    (policy,) = report_objects.policies()
    killed = report_objects.entry("Deployment/web", "a", "x", 5, rolls=1, oomKills=2, oomKillsSince=1)
    (row,) = chart_rows(leak_report([policy | {"status": {"ledger": [killed]}}], []), PageClock())
    assert (row.oom_kills, row.severity) == ("1 before the first roll, 1 since", "bad")


def test_an_unknown_growth_has_no_bar():
    (policy,) = report_objects.policies()
    unknown = report_objects.entry("Deployment/web", "a", "x", 5)
    del unknown["growthBytesPerHour"]
    (row,) = chart_rows(leak_report([policy | {"status": {"ledger": [unknown]}}], []), PageClock())
    assert (row.growth, row.growth_percent) == ("-", 0.0)
