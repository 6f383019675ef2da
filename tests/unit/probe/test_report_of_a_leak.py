"""A real service in a process of its own: the report must name its leak first, by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.probe.harness import eventually, service

PROGRAM = Path(__file__).with_name("leaking_service.py")
LEAKING_LINE = 1 + PROGRAM.read_text(encoding="utf-8").splitlines().index("        self.payload = bytearray(2_000)")
FAST = {"": "1", "_INTERVAL_SECONDS": "0.05", "_TIME_SHARE": "0.5", "_SETTLE_SECONDS": "0"}


@pytest.fixture(scope="module")
def report():
    """Leak between full collections, after one single allocation, and return the report."""
    with service(PROGRAM, **FAST, _FRAMES="3") as leaking:
        leaking.post("/start")
        # Wait for both baselines, that of the types, too: earlier allocations do not count as growth.
        eventually(lambda: (found := leaking.get())["tracing"]["state"] == "tracing" and found["types"])
        leaking.send_command("allocate once")
        leaking.send_command("leak")

        def finished():
            found = leaking.get()
            entries = [t for t in found["types"] if t["type"] == "__main__.Entry"]
            permanent = [t for t in found["types"] if t["type"] == "__main__.Permanent"]
            # The dict may be counted one collection later than its entries: it must have MIN_ITEMS first.
            return found if entries and entries[0]["collections"] > 5 and permanent else None

        return eventually(finished)


def test_the_leaking_line_is_first(report):
    first = report["growth"][0]
    assert (first["file"], first["line"]) == ("leaking_service.py", LEAKING_LINE)
    assert first["bytes"] > 2_000


def test_the_call_path_begins_with_the_line_and_leads_to_the_caller(report):
    path = report["growth"][0]["traceback"]
    assert path[0] == f"leaking_service.py:{LEAKING_LINE}"
    assert len(path) == 3


def test_the_leaking_type_is_rising_and_named_with_its_container(report):
    first = report["types"][0]
    assert (first["type"], first["rising"]) == ("__main__.Entry", True)
    assert first["referrers"] == ["growing dict in module __main__ as 'CACHE'"]


def test_a_single_allocation_is_not_rising(report):
    rising = {t["type"] for t in report["types"] if t["rising"]}
    assert "__main__.Entry" in rising
    assert "__main__.Permanent" not in rising


def test_the_report_contains_no_value_of_the_service(report):
    assert "secret" not in str(report)


def test_the_report_does_not_contain_the_probe_s_own_memory(report):
    assert not [g for g in report["growth"] if "memroll_probe" in g["file"]]
    assert not [t for t in report["types"] if "memroll_probe" in t["type"]]


def test_the_gauges_name_the_leaking_line():
    with service(PROGRAM, **FAST, _WARMUP_SECONDS="0") as leaking:
        eventually(lambda: leaking.get()["tracing"]["state"] == "tracing")
        leaking.send_command("leak")
        wanted = f'memroll_probe_growth_bytes{{file="leaking_service.py",line="{LEAKING_LINE}"}}'
        eventually(lambda: wanted in leaking.get("/metrics"))


def test_a_high_water_mark_is_not_rising():
    with service(PROGRAM, **FAST) as quiet:
        eventually(
            lambda: quiet.get()["types"]
        )  # wait for object counts: the start of Python may run full collections, too
        quiet.send_command("allocate once")
        before = quiet.get()["gc"]["collections"][2]
        report = eventually(lambda: found if (found := quiet.get())["gc"]["collections"][2] >= before + 6 else None)
    entry = next(t for t in report["types"] if t["type"] == "__main__.Permanent")
    assert (entry["growth"], entry["rising"], entry["collections"]) == (5000, False, 0)
