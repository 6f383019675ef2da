"""The leak report's figures and sentences, and the escaping of untrusted strings in each format."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml

from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.api.quantity import format_bytes
from memroll.report import describe, html, sparkline, text
from memroll.report.leaks import LeakReport, build_report
from tests import report_objects
from tests.builders import MIB, NOW

MONTH = timedelta(days=30)


def found(policies: Any = None, rolls: Any = None, back: timedelta = MONTH) -> LeakReport:
    policies = report_objects.policies() if policies is None else policies
    rolls = report_objects.rolls() if rolls is None else rolls
    return build_report(map(MemoryPolicy.read, policies), map(PodRoll.read, rolls), NOW, back)


def with_ledger(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    (policy,) = report_objects.policies()
    return [policy | {"status": {"ledger": list(entries)}}]


def test_each_service_has_its_revisions_the_fastest_leak_first():
    chat, agent = found().services
    assert (chat.namespace, chat.workload, [leak.entry.revision for leak in chat.leaks]) == (
        "ai", "Deployment/chat", ["7d4b9c5f6", "5c6f88d7b"],
    )  # fmt: skip
    assert [r.name for r in chat.leaks[0].rolls] == ["chat-7d4b9c5f6-x2x4z-1f2e3d4c"]
    assert chat.leaks[1].rolls == ()
    assert agent.workload == "StatefulSet/agent"


def test_the_headline_summarises_the_leak():
    chat, agent = map(describe.headline, found().services)
    assert chat == (
        "Deployment/chat, container chat, leaks 58.4 MiB per hour, 14.0 KiB per request; app/cache.py:42 grew most"
        " (+118.0 MiB). Rolled 4 times, which freed 3.3 GiB; 2 OOM kills before the first roll, none since."
    )
    assert agent == (
        "StatefulSet/agent, container agent, leaks 6.1 MiB per hour. Not rolled yet; 1 OOM kill; 2 pods"
        " evicted because the node was low on memory."
    )


@pytest.mark.parametrize(
    ("newer", "expected"),
    [
        (58.5, "Revision b (x:2) leaks 3.0 times faster than a (x:1)."),
        (20, "Revision b (x:2) leaks as fast as a (x:1)."),
        (6.5, "Revision b (x:2) leaks 3.0 times slower than a (x:1)."),
    ],
)
def test_revisions_are_compared(newer, expected):
    older = report_objects.entry("Deployment/chat", "a", "x:1", 19.5, firstSeen="2026-02-01T00:00:00Z")
    (service,) = found(with_ledger(older, report_objects.entry("Deployment/chat", "b", "x:2", newer)), []).services
    assert [describe.describe_comparison(c) for c in service.compare_revisions()] == [expected]


def test_a_revision_without_growth_is_not_compared():
    still = report_objects.entry("Deployment/chat", "a", "x:1", 0, firstSeen="2026-02-01T00:00:00Z")
    (service,) = found(with_ledger(still, report_objects.entry("Deployment/chat", "b", "x:2", 9)), []).services
    assert list(service.compare_revisions()) == []


def test_a_leak_last_seen_before_the_interval_is_left_out():
    assert [s.workload for s in found(rolls=[], back=timedelta(hours=1)).services] == ["Deployment/chat"]
    (chat,) = found(rolls=[], back=timedelta(hours=1)).services
    assert len(chat.leaks) == 1


def test_rolls_without_a_ledger_entry_are_reported():
    (roll,) = report_objects.rolls()
    roll["spec"]["policy"] = ""
    (service,) = found([], [roll]).services
    assert (service.workload, service.leaks[0].policy) == ("Deployment/chat", "")
    assert service.leaks[0].entry.growth_bytes_per_hour == int(58.4 * MIB)
    del roll["spec"]["trigger"]
    (service,) = found([], [roll]).services
    assert service.container == "chat", "from its evidence"
    assert "its growth is unknown" in describe.headline(service)


def test_another_revision_s_roll_is_not_this_one_s():
    (roll,) = report_objects.rolls()
    roll["status"]["release"]["templateHash"] = "other"
    chat, *_ = found(rolls=[roll]).services
    assert {leak.entry.revision: len(leak.rolls) for leak in chat.leaks} == {"7d4b9c5f6": 0, "5c6f88d7b": 0, "other": 1}


def test_the_table_holds_the_figures():
    lines = text.to_text(found()).splitlines()
    cells = [re.split(r"\s{2,}", line) for line in lines]
    assert cells[0] == list(describe.HEADER)
    assert cells[1] == [
        "ai", "Deployment/chat", "chat", "7d4b9c5f6", "registry.example/chat:4.2", "+58.4 MiB", "+14.0 KiB", "4",
        "2", "0", "0", "3.3 GiB", "app/cache.py:42 +118.0 MiB", "2026-03-01T11:59:00Z",
    ]  # fmt: skip
    assert lines[-1].startswith("Revision 7d4b9c5f6 (registry.example/chat:4.2) leaks 3.0 times faster than 5c6f88d7b")


def test_an_empty_report_has_a_message_in_each_format():
    nothing = found([], [])
    assert text.to_text(nothing) == "No leak observed. (since 2026-01-30T12:00:00Z)"
    assert json.loads(text.to_json(nothing))["services"] == []
    assert "No leak observed." in html.render_page(nothing)


def test_the_json_holds_figures_and_evidence():
    content = json.loads(text.to_json(found()))
    chat = content["services"][0]
    assert chat["comparisons"][0]["ratio"] == pytest.approx(2.99, abs=0.01)
    newest = chat["revisions"][0]
    assert (newest["oom_kills_before"], newest["oom_kills_since"], newest["freed_bytes"]) == (2, 0, 3350 * MIB)
    assert content["services"][1]["revisions"][0]["node_pressure_evictions"] == 2
    assert newest["evidence"]["probe"]["growth"][0]["file"] == "app/cache.py"
    assert newest["podrolls"] == ["chat-7d4b9c5f6-x2x4z-1f2e3d4c"]


class Page(HTMLParser):
    """Parsed page: its tags, the attributes that refer to something, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags, self.references, self.words, self.open = list[str](), list[str](), "", list[str]()
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = {name for name, _ in attrs}
        self.references += [n for n in names if n in ("src", "href", "xlink:href") or n.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_well_formed_and_self_contained():
    content = html.render_page(found())
    read = Page(content)
    assert read.open == []
    assert read.references == []
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(read.tags)
    assert "url(" not in content
    assert "@import" not in content
    assert read.tags.count("svg") == 1
    assert "prefers-color-scheme: dark" in content
    assert "@media print" in content


def test_the_headline_comes_first_then_the_figures_then_the_evidence():
    content = html.render_page(found())
    order = [
        "<h2>ai/Deployment/chat: chat</h2>", "leaks 58.4 MiB per hour", "leaks 3.0 times faster", "+14.0 KiB",
        "<polyline", "app/sessions.py:17", "9120 (+8800) app.cache.Entry, held by dict of module app.cache",
        "freed 789.0 MiB",
    ]  # fmt: skip
    at = content.index(order[0])
    places = [content.index(part, at) for part in order]
    assert places == sorted(places)


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
    seen = found([policy], [roll])
    assert seen.services
    content = html.render_page(seen)
    read = Page(content)
    assert read.references == []
    assert not {"script", "img"} & set(read.tags)
    assert "alert(1)" in read.words, "it is shown as text"
    for written in (content, text.to_text(seen)):
        assert not set(written) & set("\x1b\u202e\r\x00")


def test_a_plot_shows_the_limit_and_stays_within_its_frame():
    series = found().services[0].leaks[0].rolls[0].status.evidence.series
    drawn = sparkline.render_svg(series)
    (points,) = re.findall(r'points="([^"]+)"', drawn)
    pairs = [tuple(map(float, p.split(","))) for p in points.split()]
    assert len(pairs) == 59
    assert all(0 <= x <= sparkline.WIDTH and 0 <= y <= sparkline.HEIGHT for x, y in pairs)
    assert [x for x, _ in pairs] == sorted(x for x, _ in pairs)
    assert pairs[0][1] > pairs[-1][1], "more memory is higher up"
    assert "limit 1.0 GiB" in drawn
    assert sparkline.render_svg(series.model_copy(update={"points": series.points[:1]})) == ""


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (41 * MIB, "41.0 MiB"), (3 << 30, "3.0 GiB")],
)
def test_bytes_are_formatted_in_the_largest_fitting_unit(count, expected):
    assert format_bytes(count) == expected


def test_yaml_is_the_same_document_as_json():
    assert yaml.safe_load(text.to_yaml(found())) == json.loads(text.to_json(found()))


def test_csv_has_a_line_for_each_leak_and_no_formula():
    lines = list(csv.reader(text.to_csv(found()).splitlines()))
    assert lines[0] == list(describe.HEADER)
    assert [line[:2] for line in lines[1:]] == [list(row[:2]) for row in describe.table_rows(found())]
    hostile = report_objects.entry("=HYPERLINK(1)", "a", "x", 5.0)
    assert "'=HYPERLINK(1)" in text.to_csv(found(with_ledger(hostile), []))
