from __future__ import annotations

import asyncio
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroll_probe.naming import MAX_CHARS, FileNames, sanitize, type_name


@given(st.text(max_size=1_000))
def test_any_name_becomes_one_line_of_limited_length(name):
    assert len(sanitize(name)) <= MAX_CHARS
    assert sanitize(name).isprintable()


@pytest.mark.parametrize(
    ("file", "short"),
    [
        pytest.param(
            "/opt/venv/lib/site-packages/langflow/utils/validate.py", "langflow/utils/validate.py", id="package"
        ),
        pytest.param("/opt/venv/lib/json/decoder.py", "json/decoder.py", id="standard library"),
        pytest.param("/srv/app/deep/down/below/x.py", "down/below/x.py", id="not on the path"),
        pytest.param("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", id="frozen"),
    ],
)
def test_files_are_named_relative_to_their_import_root(monkeypatch, file, short):
    monkeypatch.setattr(sys, "path", ["/opt/venv/lib", "/opt/venv/lib/site-packages", ""])
    assert FileNames().shorten(file) == short


def test_types_are_named_with_their_module_and_builtins_without():
    odd = type("Odd", (), {"__module__": 7})
    assert [type_name(t) for t in (dict, asyncio.Event, odd)] == ["dict", "asyncio.locks.Event", "Odd"]
