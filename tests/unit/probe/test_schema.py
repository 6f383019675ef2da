"""What the probe says keeps to the published schema, also in trouble and under hostile names."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from memroll_probe import SCHEMA as NAME
from memroll_probe import bounded, report
from memroll_probe.tally import RISES
from tests.unit.probe.driving import watch_with
from tests.unit.probe.schema import SCHEMA, problems

# As hostile as a name can be: quotes, line ends, text that turns around, and longer than the whole report may be.
HOSTILE = '"}\n# HELP \u202e' + "é" * 100_000


def test_the_schema_s_name_is_the_report_s():
    assert SCHEMA["properties"]["schema"]["const"] == NAME


def test_a_report_without_tracing():
    assert problems(report.full(watch_with(), use_deep=False)) == []


def test_a_report_with_tracing():
    watch = watch_with(frames=25)
    watch.tracing.start(25)
    watch.tracing.take_baseline()
    kept = [bytearray(10_000) for _ in range(100)]
    made = report.full(watch, use_deep=False)
    assert problems(made) == []
    assert made["growth"][0]["bytes"] >= len(kept) * 10_000


def test_a_report_in_trouble():
    assert problems(report.head(watch_with(), "report: TimeoutError")) == []


@pytest.fixture(scope="module")
def hostile_report():
    """A report of types and files with names that no sane service has."""
    kinds = [type(f"{HOSTILE}{n}", (), {"__module__": HOSTILE}) for n in range(30)]
    watch, kept = watch_with(), []
    for _ in range(RISES + 2):
        watch.census.sample()
        kept += [kind() for kind in kinds for _ in range(20)]
    code = "\n" * 70_000 + "kept.extend(bytearray(9_000) for _ in range(50))"
    watch.tracing.start(1)
    for n in range(30):
        exec(compile(code, f"/x/{n}{HOSTILE[:6_000]}.py", "exec"), {"kept": kept})
    made = report.full(watch, use_deep=False)
    tracemalloc.stop()
    return made


@pytest.mark.parametrize("most_bytes", [2_048, 8_192, 65_536])
def test_hostile_names_are_cut_and_keep_to_the_schema(hostile_report, most_bytes):
    body = bounded.encode(hostile_report, most_bytes)
    assert len(body) <= most_bytes
    assert problems(json.loads(body)) == []


def test_the_time_budget_holds_with_much_to_look_through():
    watch = watch_with(budget_s=0.5)
    kept = [[n] for n in range(300_000)]
    for step in range(RISES + 2):
        watch.census.see({f"app.T{n}": 100 * step for n in range(2_000)} | {"list": len(kept) + 100 * step})
    began = time.monotonic()
    made = report.full(watch, use_deep=False)
    assert time.monotonic() - began < 5
    assert problems(made) == []
