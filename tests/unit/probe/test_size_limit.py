from __future__ import annotations

import functools
import json

from hypothesis import given
from hypothesis import strategies as st

from memroll_probe.naming import sanitize
from memroll_probe.settings import MIN_REPORT_BYTES
from memroll_probe.size_limit import encode
from tests.unit.probe.schema import problems

NAMES = st.text(max_size=400).map(sanitize)
REPORTS = st.fixed_dictionaries(
    {
        "schema": st.just("memroll-probe/1"),
        "at": st.just("2026-01-01T00:00:00Z"),
        "uptimeSeconds": st.just(1.5),
        "process": st.just({"pid": 1}),
        "requests": st.just({"total": 2**63, "inFlight": 0}),
        "tracing": st.just({"state": "off"}),
        "growth": st.lists(
            st.fixed_dictionaries(
                {
                    "file": NAMES,
                    "line": st.integers(0, 2**31),
                    "bytes": st.integers(1, 2**63),
                    "blocks": st.integers(-(2**63), 2**63),
                    "totalBytes": st.integers(1, 2**63),
                    "traceback": st.lists(NAMES, max_size=50),
                }
            ),
            max_size=10,
        ),
        "types": st.lists(
            st.fixed_dictionaries(
                {
                    "type": NAMES,
                    "count": st.integers(0, 2**63),
                    "growth": st.integers(1, 2**63),
                    "collections": st.integers(0, 2**31),
                    "rising": st.booleans(),
                    "referrers": st.lists(NAMES, max_size=3),
                }
            ),
            max_size=10,
        ),
        "gc": st.just({"enabled": True}),
        "truncated": st.booleans(),
        "errors": st.lists(st.text(max_size=500), max_size=40),
    }
)


@given(REPORTS, st.integers(MIN_REPORT_BYTES, 70_000))
def test_any_report_fits_and_conforms_to_its_schema(report, max_bytes):
    body = encode(report, max_bytes)
    assert len(body) <= max_bytes
    assert problems(json.loads(body)) == []


def report(**parts):
    empty = {"schema": "memroll-probe/1", "growth": [], "types": [], "errors": [], "truncated": False}
    return {**empty, **parts}


def test_tracebacks_are_removed_first():
    growth = [{"file": f"f{n}.py", "traceback": ["x" * 200] * 50} for n in range(10)]
    cut = json.loads(encode(report(growth=growth), 4_000))
    assert [g["file"] for g in cut["growth"]] == [f"f{n}.py" for n in range(10)]
    assert all(g["traceback"] == [] for g in cut["growth"])
    assert cut["truncated"] is True


def test_entries_are_removed_from_the_end():
    growth = [{"file": "x" * 190 + str(n), "traceback": []} for n in range(10)]
    cut = json.loads(encode(report(growth=growth), 1_000))
    assert 0 < len(cut["growth"]) < 10
    assert cut["growth"] == growth[: len(cut["growth"])]


def test_a_report_that_fits_is_not_truncated():
    whole = report(growth=[{"file": "a.py", "traceback": ["a.py:1"]}])
    assert json.loads(encode(whole, 65_536)) == whole


def test_a_service_that_replaces_json_dumps_does_not_change_the_report(monkeypatch):
    monkeypatch.setattr(json, "dumps", functools.partial(json.dumps, ensure_ascii=False))
    report = {"schema": "memroll-probe/1", "growth": [], "types": [{"type": "app.对话"}], "errors": []}
    assert json.loads(encode(report, MIN_REPORT_BYTES)) == report
