"""Templates: every text is escaped and cleaned in one place, and the style breaks no word."""

from __future__ import annotations

import re

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


def colours(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


LIGHT, DARK = (colours(block) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("text", ["ink", "quiet", "line", "good", "bad", "warn", "suspected", "confirmed", "rolled"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
def test_texts_have_the_contrast_of_wcag_aa(theme, text, ground):
    lighter, darker = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_both_themes_have_the_same_colours():
    assert set(LIGHT) == set(DARK)
