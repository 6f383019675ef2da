"""Tables as text: not cut on a file, wrapped and coloured on a terminal, and without control characters."""

from __future__ import annotations

import io

import pytest

from memroll.rendering import Marked, Severity, build_table, console, format_text_table, min_table_width, printable


def test_a_table_that_is_not_on_a_terminal_is_neither_cut_nor_wrapped():
    long = "x" * 3000
    assert format_text_table([("NAME", "WHY"), ("a", long), ("bcdef", "")]) == f"NAME   WHY\na      {long}\nbcdef"


def test_a_row_may_be_shorter_than_the_header():
    assert format_text_table([("A", "B"), ("1",)]) == "A  B\n1"


def test_control_characters_are_replaced():
    assert printable("a\x1b[31mred\x07\n\tb") == "a\ufffd[31mred\ufffd  b"
    assert "\x1b" not in format_text_table([("A",), ("\x1b]0;title\x07",)])


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_severity_is_a_colour_on_a_terminal_only(is_terminal, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = io.StringIO()
    file.isatty = lambda: is_terminal
    console(file).print(build_table([("A",), (Marked("bad", Severity.BAD),)]))
    assert ("\x1b[" in file.getvalue()) is is_terminal


def test_only_the_last_column_wraps_on_a_narrow_terminal():
    shown = console(file := io.StringIO())
    shown.width = 20
    shown.print(build_table([("NAME", "WHY"), ("abcdefgh", "one two three four")]))
    assert file.getvalue().splitlines()[1].startswith("abcdefgh  one two")
    assert len(file.getvalue().splitlines()) > 2


def test_the_columns_before_the_last_one_are_never_cut():
    rows = [("NAME", "WHY"), ("x" * 30, "one two three four five six")]
    assert min_table_width(rows) == 30 + 2 + 20
    shown = console(file := io.StringIO())
    shown.width = min_table_width(rows)
    shown.print(build_table(rows))
    assert file.getvalue().splitlines()[1] == f"{'x' * 30}  one two three four  "
    assert min_table_width([("A", "B"), ("1", "2")]) == 4
