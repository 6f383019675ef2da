"""Reports conform to the published schema, also after errors and with hostile names."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from memroll_probe import SCHEMA as NAME
from memroll_probe import report, size_limit
from memroll_probe.counter import MIN_RISES
from tests.unit.probe.harness import state_with
from tests.unit.probe.schema import SCHEMA, problems

# A hostile name: quotes, line ends, a right-to-left override, and longer than a whole report may be.
HOSTILE = '"}\n# HELP \u202e' + "é" * 100_000


def test_the_schema_s_name_is_the_report_s():
    assert SCHEMA["properties"]["schema"]["const"] == NAME


def test_a_report_without_tracing():
    assert problems(report.build_report(state_with(), deep=False)) == []


def test_a_report_with_tracing():
    state = state_with(frames=25)
    state.tracer.start(25)
    state.tracer.take_baseline()
    kept = [bytearray(10_000) for _ in range(100)]
    made = report.build_report(state, deep=False)
    assert problems(made) == []
    assert made["growth"][0]["bytes"] >= len(kept) * 10_000


def test_a_report_of_an_error():
    assert problems(report.build_header(state_with(), "report: TimeoutError")) == []


@pytest.fixture(scope="module")
def hostile_report():
    """Build a report of types and files with hostile names."""
    kinds = [type(f"{HOSTILE}{n}", (), {"__module__": HOSTILE}) for n in range(30)]
    state, kept = state_with(), []
    for _ in range(MIN_RISES + 2):
        state.object_counts.sample()
        kept += [kind() for kind in kinds for _ in range(20)]
    code = "\n" * 70_000 + "kept.extend(bytearray(9_000) for _ in range(50))"
    state.tracer.start(1)
    for n in range(30):
        exec(compile(code, f"/x/{n}{HOSTILE[:6_000]}.py", "exec"), {"kept": kept})
    made = report.build_report(state, deep=False)
    tracemalloc.stop()
    return made


@pytest.mark.parametrize("max_bytes", [2_048, 8_192, 65_536])
def test_hostile_names_are_truncated_and_conform_to_the_schema(hostile_report, max_bytes):
    body = size_limit.encode(hostile_report, max_bytes)
    assert len(body) <= max_bytes
    assert problems(json.loads(body)) == []


def test_the_time_budget_holds_with_many_objects():
    state = state_with(budget_s=0.5)
    kept = [[n] for n in range(300_000)]
    for step in range(MIN_RISES + 2):
        state.object_counts.add({f"app.T{n}": 100 * step for n in range(2_000)} | {"list": len(kept) + 100 * step})
    began = time.monotonic()
    made = report.build_report(state, deep=False)
    assert time.monotonic() - began < 5
    assert problems(made) == []
