"""Progress of long work: on a terminal only, with the time left."""

from __future__ import annotations

import sys

import pytest

from memroll.cli.progress import progress


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def test_nothing_is_printed_without_a_terminal(monkeypatch, capsys):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with progress("replaying", 10) as show:
        show(5)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_the_work_that_is_done_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("replaying", 10) as show:
        show(5)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "replaying" in printed.err
    assert "50%" in printed.err
