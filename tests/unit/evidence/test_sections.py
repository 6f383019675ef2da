"""Text of a pod is cut before it is cleaned: no pattern gets more than a line of 2 KiB, or one tail of a log."""

from __future__ import annotations

import json

import pytest

from memroll.api.evidence import MAX_LOG_LINES
from memroll.evidence import probe_report, redact
from memroll.evidence.probe_report import SCHEMA, parse_report
from memroll.evidence.sanitize import MAX_PARSED_CHARS
from memroll.evidence.sections import MAX_LOG_CHARS, MAX_RAW_LOG_CHARS, log_tail

HUGE = 2**20
RUNS = ("\\", '"', "=", "-", " ", "A", "aA0", "token=", "-----BEGIN PRIVATE KEY")


@pytest.fixture
def lengths(monkeypatch):
    """Lengths of all texts in which secrets and key blocks are searched for."""
    found = []

    def recorded(function, length):
        def call(given):
            found.append(length(given))
            return function(given)

        return call

    for module in (redact, probe_report):
        monkeypatch.setattr(module, "redact_secrets", recorded(redact.redact_secrets, len))
    monkeypatch.setattr(
        redact, "redact_key_blocks", recorded(redact.redact_key_blocks, lambda lines: len("".join(lines)))
    )
    return found


@pytest.mark.parametrize("run", RUNS)
def test_a_log_with_huge_lines_is_cut_before_it_is_redacted(run, lengths):
    lines = [run * (HUGE // len(run))] * 3 + ["a"] * 3
    assert log_tail("app", lines, MAX_LOG_CHARS) is not None
    assert lengths
    assert max(lengths) <= max(MAX_RAW_LOG_CHARS, MAX_PARSED_CHARS)
    assert sorted(lengths)[:-1][-1] <= MAX_PARSED_CHARS, "all but the key blocks are lines"


def test_a_log_with_many_lines_is_cut_before_it_is_redacted(lengths):
    tail = log_tail("app", ["x" * 100] * 100_000, MAX_LOG_CHARS)
    assert tail is not None
    assert len(lengths) <= 2 * MAX_LOG_LINES + 1


def test_the_texts_of_a_report_are_cut_before_they_are_redacted(lengths):
    growth = [{"file": "\\" * 10_000, "bytes": n + 1} for n in range(1000)]
    parse_report(json.dumps({"schema": SCHEMA, "growth": growth, "errors": ["=" * 10_000] * 1000}).encode())
    assert 0 < len(lengths) < 200
    assert max(lengths) <= MAX_PARSED_CHARS
