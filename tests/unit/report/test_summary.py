"""Sentence at the top of the leak page."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.report.summary import summarise
from tests import report_objects
from tests.report_pages import leak_report


def summary_of(*entries: dict[str, Any]) -> tuple[str, str]:
    (policy,) = report_objects.policies()
    found = summarise(leak_report([policy | {"status": {"ledger": list(entries)}}], []))
    return found.text, found.severity


def entry(name: str, per_hour_mib: float, **changes: Any) -> dict[str, Any]:
    return report_objects.entry(f"Deployment/{name}", "a", "x", per_hour_mib, **changes)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("web", 5)], ("Deployment/web leaks 5.0 MiB per hour. No pod was rolled.", "warn")),
        (
            [entry("web", 5, rolls=1), entry("api", 9, rolls=3, freedBytes=2**30)],
            (
                (
                    "2 services leak, Deployment/api the fastest: 9.0 MiB per hour. 4 rolls freed 1.0 GiB;"
                    " no OOM kill since the first roll."
                ),
                "warn",
            ),
        ),
        (
            [entry("web", 5, rolls=1, oomKills=3, oomKillsSince=2, firstRolled="2026-02-21T02:00:00Z")],
            ("Deployment/web leaks 5.0 MiB per hour. 1 roll; 2 OOM kills since the first roll.", "bad"),
        ),
        ([], ("No leak observed.", "good")),
    ],
)
def test_the_summary_counts_services_rolls_and_oom_kills(entries, expected):
    assert summary_of(*entries) == expected


def test_unknown_growth_is_left_out():
    unknown = entry("web", 5)
    del unknown["growthBytesPerHour"]
    assert summary_of(unknown)[0] == "Deployment/web leaks. No pod was rolled."
