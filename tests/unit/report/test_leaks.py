"""The leak report's figures and sentences."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta
from typing import Any

import pytest
import yaml

from memroll.api.quantity import format_bytes
from memroll.pages.times import PageClock
from memroll.report import describe, html, text
from tests import report_objects
from tests.builders import MIB, NOW
from tests.report_pages import leak_report as found


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


def test_revisions_are_the_columns_of_the_figures_of_a_service():
    chat, agent = found().services
    header, *rows = describe.figure_rows(chat, NOW, PageClock())
    assert header == ("", "7d4b9c5f6", "5c6f88d7b")
    values = {name: rest for name, *rest in rows}
    assert values["Growth per hour"] == ["+58.4 MiB", "+19.5 MiB"]
    assert values["Last seen"][0] == "Sun 1 Mar 11:59 UTC (60s ago)"
    assert "Memory freed" not in {name for name, *_ in describe.figure_rows(agent, NOW, PageClock())}


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
