"""Any report is parsed: the stored part is bounded, clean, and accepted by the API server."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.api.evidence import (
    MAX_GROWN_LINES,
    MAX_NUMBER,
    MAX_REFERRERS,
    MAX_RISING_TYPES,
    MAX_TEXT_CHARS,
    ProbeReport,
)
from memroll.errors import ProbeUnavailableError
from memroll.evidence.probe_report import parse_report
from tests.hostile_pods import REPORT

ODD_TEXT = st.text(max_size=300) | st.sampled_from([
    "<script>alert(1)</script>", "[x](http://evil)", "a\x1b[31mb", "a\nb", "\u202etxt.exe", "\ud800", "javascript://x",
    "password=hunter2", "x" * 10_000, "", "\x00", "`rm`", "http://evil/app.py",
])  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ODD_TEXT
    | st.sampled_from([10**400, -1, 2**63, 2**53, 1e308])
)
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4), max_leaves=12
)
GROWTH = st.fixed_dictionaries({}, optional=dict.fromkeys(("file", "line", "bytes", "blocks", "totalBytes"), ANY))
TYPES = st.fixed_dictionaries(
    {"rising": st.sampled_from([True]) | ANY},
    optional=dict.fromkeys(("type", "count", "growth", "collections", "referrers"), ANY),
)
REPORTS = st.fixed_dictionaries(
    {"schema": st.just("memroll-probe/1")},
    optional={
        **dict.fromkeys(("uptimeSeconds", "process", "requests", "tracing", "gc", "truncated", "errors"), ANY),
        "growth": st.lists(GROWTH, max_size=20) | ANY,
        "types": st.lists(TYPES, max_size=20) | ANY,
    },
)


def texts(value) -> list[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [value] if isinstance(value, str) else [t for v in inner for t in texts(v)]


def numbers(value) -> list[float]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [value] if isinstance(value, int | float) else [n for v in inner for n in numbers(v)]


@given(REPORTS)
@settings(max_examples=300)
def test_the_stored_part_of_a_report_is_bounded_and_clean(raw):
    found = parse_report(json.dumps(raw).encode(errors="surrogatepass"))
    wire = found.to_dict()
    assert ProbeReport.model_validate(wire) == found
    assert len(found.growth) <= MAX_GROWN_LINES
    assert len(found.types) <= MAX_RISING_TYPES
    assert all(len(t.referrers) <= MAX_REFERRERS for t in found.types)
    for text in texts(wire):
        assert len(text) <= MAX_TEXT_CHARS
        assert not set(text) & set('<>[]|`&"\\*#')
        assert "//" not in text
        assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert all(0 <= n <= MAX_NUMBER for n in numbers(wire))
    assert [g.bytes for g in found.growth] == sorted((g.bytes for g in found.growth), reverse=True)


@given(st.binary(max_size=200) | ANY.map(lambda v: json.dumps(v).encode(errors="surrogatepass")))
@settings(max_examples=300)
def test_any_other_response_is_rejected(response):
    with pytest.raises(ProbeUnavailableError):
        parse_report(response)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "-5", "true", '"7"', "[]"])
def test_an_invalid_number_is_left_out(literal):
    response = json.dumps(REPORT).replace('"uptimeSeconds": 3600', f'"uptimeSeconds": {literal}')
    found = parse_report(response.encode())
    assert found.uptime_seconds is None
    assert found.rss_bytes == 200 << 20


def test_a_complete_report_is_parsed():
    found = parse_report(json.dumps(REPORT).encode())
    assert [str(g) for g in found.growth] == ["app/cache.py:42", "app/web.py:7"], "the largest first"
    assert [(t.type, t.count, t.referrers) for t in found.types] == [("app.cache.Entry", 9000, ("dict of 'CACHE'",))]
    assert (found.tracing.state, found.requests_total, found.uncollectable) == ("tracing", 900, 0)
