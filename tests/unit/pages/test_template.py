"""Templates: every text is escaped and cleaned in one place, and the style breaks no word."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from memroll.pages import template
from tests.html_page import STYLE


def rendered(source, **values):
    return template._environment().from_string(source).render(**values)


@pytest.mark.parametrize("where", ["{{ text }}", '<a title="{{ text }}">', "{{ text|breakable }}"])
def test_a_text_is_escaped_and_loses_control_and_direction_characters(where):
    written = rendered(where, text="\"'><script>alert(1)</script>\x1b[31m\u202e\u200b\x00&amp;{{7*7}}")
    assert "<script" not in written
    assert '">' not in written.removesuffix('">')
    assert not set(written) & set("\x1b\u202e\u200b\x00")
    assert "{{7*7}}" in written.replace("<wbr>", "")


def test_an_unknown_value_is_an_error():
    with pytest.raises(UndefinedError):
        rendered("{{ unknown }}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("short/name", "short/name"),
        ("registry.example/chat:4.2", "registry.<wbr>example/<wbr>chat:4.2"),
        ("langchain_memory_buffer", "langchain_<wbr>memory_<wbr>buffer"),
        ("a" * 40, "a" * 40),
        ("<b>/<i>/some/long/name", "&lt;b&gt;/<wbr>&lt;i&gt;/<wbr>some/<wbr>long/<wbr>name"),
    ],
)
def test_a_long_name_breaks_after_its_separators_only(name, expected):
    assert template.breakable(name) == expected


def test_the_style_follows_the_theme_and_breaks_no_word():
    assert "prefers-color-scheme: dark" in STYLE
    assert "@media print" in STYLE
    for breaking in ("overflow-wrap", "word-break", "hyphens: auto", "text-transform"):
        assert breaking not in STYLE
