"""A real service in a process of its own: what it leaks must stand first, by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.probe.driving import eventually, service

PROGRAM = Path(__file__).with_name("leaking.py")
LEAKING_LINE = 1 + PROGRAM.read_text(encoding="utf-8").splitlines().index("        self.payload = bytearray(2_000)")
FAST = {"": "1", "_INTERVAL_SECONDS": "0.05", "_TIME_SHARE": "0.5", "_SETTLE_SECONDS": "0"}


@pytest.fixture(scope="module")
def report():
    """Leak between full collections, with something that is taken only once before, and read the report."""
    with service(PROGRAM, **FAST, _FRAMES="3") as leaking:
        leaking.post("/start")
        # Both baselines must be there, that of the types, too: what is taken before does not count as growth.
        eventually(lambda: (found := leaking.get())["tracing"]["state"] == "tracing" and found["types"])
        leaking.tell("take once")
        leaking.tell("leak")

        def told():
            found = leaking.get()
            entries = [t for t in found["types"] if t["type"] == "__main__.Entry"]
            once = [t for t in found["types"] if t["type"] == "__main__.Chair"]
            return found if entries and entries[0]["collections"] > 4 and once else None

        return eventually(told)


def test_the_leaking_line_stands_first(report):
    first = report["growth"][0]
    assert (first["file"], first["line"]) == ("leaking.py", LEAKING_LINE)
    assert first["bytes"] > 2_000


def test_the_call_path_begins_with_the_line_and_leads_to_the_caller(report):
    path = report["growth"][0]["traceback"]
    assert path[0] == f"leaking.py:{LEAKING_LINE}"
    assert len(path) == 3


def test_the_leaking_type_is_rising_and_named_with_who_holds_it(report):
    first = report["types"][0]
    assert (first["type"], first["rising"]) == ("__main__.Entry", True)
    assert first["referrers"] == ["growing dict in module __main__ as 'CACHE'"]


def test_what_was_taken_once_grew_but_does_not_rise(report):
    rising = {t["type"] for t in report["types"] if t["rising"]}
    assert "__main__.Entry" in rising
    assert "__main__.Chair" not in rising


def test_no_value_of_the_service_is_told(report):
    assert "secret" not in str(report)


def test_the_probe_s_own_memory_is_not_told(report):
    assert not [g for g in report["growth"] if "memroll_probe" in g["file"]]
    assert not [t for t in report["types"] if "memroll_probe" in t["type"]]


def test_the_gauges_name_the_leaking_line():
    with service(PROGRAM, **FAST, _WARMUP_SECONDS="0") as leaking:
        eventually(lambda: leaking.get()["tracing"]["state"] == "tracing")
        leaking.tell("leak")
        wanted = f'memroll_probe_growth_bytes{{file="leaking.py",line="{LEAKING_LINE}"}}'
        eventually(lambda: wanted in leaking.get("/metrics"))


def test_a_high_water_mark_is_not_rising():
    with service(PROGRAM, **FAST) as quiet:
        eventually(lambda: quiet.get()["types"])  # there was a census: full collections alone may be the start's own
        quiet.tell("take once")
        before = quiet.get()["gc"]["collections"][2]
        report = eventually(lambda: found if (found := quiet.get())["gc"]["collections"][2] >= before + 6 else None)
    chair = next(t for t in report["types"] if t["type"] == "__main__.Chair")
    assert (chair["growth"], chair["rising"], chair["collections"]) == (5000, False, 0)
