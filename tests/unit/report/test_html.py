"""The leak page: a sentence, a chart, and one self-contained page, whatever the objects contain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from memroll.pages.times import PageClock
from memroll.report import html, text
from tests import report_objects
from tests.html_page import checked
from tests.report_pages import leak_report


def test_the_page_is_well_formed_and_self_contained():
    read = checked(html.render_page(leak_report()))
    assert read.tags.count("svg") == 1
    assert [h for h in read.headings if "/" in h] == ["ai/Deployment/chat: chat", "ai/StatefulSet/agent: agent"]


def test_it_opens_with_a_sentence_then_the_chart_then_the_services():
    words = checked(html.render_page(leak_report())).text
    order = [
        "2 services leak, Deployment/chat the fastest: 58.4 MiB per hour.", "Growth per hour", "Contents",
        "Deployment/chat, container chat, leaks 58.4 MiB per hour", "leaks 3.0 times faster", "Before pod",
        "app/sessions.py:17", "9120 (+8800) app.cache.Entry, held by dict of module app.cache", "freed 789.0 MiB",
        "All figures for each revision", "+14.0 KiB",
    ]  # fmt: skip
    places = [words.index(part) for part in order]
    assert places == sorted(places)


def test_times_are_readable_with_their_zone_and_age():
    words = checked(html.render_page(leak_report())).text
    assert "30 Jan 2026 to 1 Mar 2026 (UTC)" in words
    assert "captured Sun 1 Mar 02:14 UTC (9h46m ago)" in words
    assert "Sun 1 Mar 11:59, 60s ago" in words
    assert "T11:59" not in words, "raw times are in attributes only"
    assert "(JST)" in checked(html.render_page(leak_report(), PageClock(ZoneInfo("Asia/Tokyo")))).text


def test_good_and_bad_have_a_word_and_an_icon():
    words = checked(html.render_page(leak_report())).text
    assert "✓2 before the first roll, 0 since" in words
    assert "✗Revision 7d4b9c5f6" in words
    assert "!LeakPersists" in words


def test_the_plot_names_the_roll_and_the_limit():
    content = html.render_page(leak_report())
    plot = content[content.index('<figure class="plot">') : content.index("</figure>")]
    assert "<span>rolled 15h</span>" in plot
    assert "limit<br>1 GiB" in plot
    assert "since the first sample, time in UTC" in plot


def test_ages_are_those_of_the_container_if_its_start_is_known():
    (roll,) = report_objects.rolls()
    roll["status"]["evidence"] = roll["status"]["evidence"] | {
        "containers": [{"container": "chat", "started": "2026-02-28T09:40:00Z"}]
    }
    content = html.render_page(leak_report(rolls=[roll]))
    assert "<span>rolled 17h</span>" in content
    assert "age of the container, time in UTC" in content


@pytest.mark.parametrize("points", [[], [[0, 1]]])
def test_a_series_without_a_line_is_not_drawn(points):
    (roll,) = report_objects.rolls()
    evidence = roll["status"]["evidence"]
    roll["status"]["evidence"] = evidence | {"series": evidence["series"] | {"points": points}}
    assert "svg" not in checked(html.render_page(leak_report(rolls=[roll]))).tags


def test_rolls_are_bounded_and_the_hidden_ones_counted():
    (roll,) = report_objects.rolls()
    many = [roll | {"metadata": roll["metadata"] | {"name": f"r-{n}", "uid": f"u-{n}"}} for n in range(13)]
    words = checked(html.render_page(leak_report(rolls=many))).text
    assert words.count("freed 789.0 MiB") == 10
    assert "3 earlier rolls are not listed." in words


def test_deleted_evidence_is_named_and_an_empty_report_is_a_page():
    assert "Its rolls and their evidence have been deleted." in checked(html.render_page(leak_report(rolls=[]))).text
    nothing = checked(html.render_page(leak_report([], [], timedelta(days=1))))
    assert "✓No leak observed." in nothing.text
    assert "table" not in nothing.tags


EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202e'&{{7*7}}$style"


def everywhere(value: Any) -> Any:
    """Put the evil string into every field that holds free text."""
    free = ("image", "reason", "message", "file", "at", "type", "podName", "workload", "revision", "container", "name")
    if isinstance(value, dict):
        return {k: EVIL[:60] if k in free and isinstance(v, str) else everywhere(v) for k, v in value.items()}
    if isinstance(value, list):
        return [everywhere(v) for v in value]
    return value


def test_hostile_strings_are_escaped():
    (policy,), (roll,) = report_objects.policies(), report_objects.rolls()
    policy["status"] = everywhere(policy["status"])
    roll["status"] = everywhere(roll["status"]) | {"workload": roll["status"]["workload"]}
    roll["spec"] |= {"reason": EVIL, "trigger": everywhere(roll["spec"]["trigger"])}
    seen = leak_report([policy], [roll])
    assert seen.services
    read = checked(html.render_page(seen))
    assert "alert(1)" in read.words, "it is shown as text"
    assert not set(text.to_text(seen)) & set("\x1b\u202e\r\x00")
