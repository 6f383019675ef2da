"""The end of a command by an error: one line, an exit code, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from memroll.cli import errors
from memroll.errors import ClusterUnavailableError, ConflictError, TerminalError
from tests.texts import ROOT


def fail_with(error: BaseException):
    def main():
        errors.note_command("memroll report")
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (TerminalError("NoCluster", "no kubeconfig"), 1, "memroll report: no kubeconfig: set KUBECONFIG, or"),
        (errors.InvalidArgumentError("--x 1: must be 2"), 2, "memroll report: --x 1: must be 2\n"),
        (errors.NotEnoughDataError("no samples"), 4, "memroll report: no samples\n"),
        (TerminalError("PolicyInvalid", "p.yaml: spec"), 2, "memroll report: p.yaml: spec\n"),
        (ConflictError("Conflict", "PUT /x: changed"), 1, "memroll report: changed: someone else has changed"),
        (ClusterUnavailableError("Timeout", "GET /x: no response within 5.0 s"), 1, "no response within 5.0 s: check"),
        (KeyboardInterrupt(), 130, "memroll report: interrupted\n"),
        (click.Abort(), 130, "memroll report: interrupted\n"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "memroll report: /x/y: Permission denied\n"),
        (ZeroDivisionError("x"), 1, "memroll report: a bug of memroll: ZeroDivisionError: x: please report it"),
        (ValueError("two\nlines \x1b[31m"), 1, "ValueError: two lines \ufffd[31m"),
    ],
)
def test_an_error_ends_with_its_exit_code_and_one_line(error, code, line, capsys):
    assert errors.run_safely("memroll", fail_with(error)) == code
    printed = capsys.readouterr()
    assert line in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_the_traceback_of_a_bug_is_printed_on_request(capsys, monkeypatch):
    monkeypatch.setenv("MEMROLL_DEBUG", "1")
    monkeypatch.setattr(errors.logs, "configure", lambda *_: None)
    assert errors.run_safely("memroll", fail_with(ZeroDivisionError("x"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_result_of_a_command_is_the_exit_code():
    assert errors.run_safely("memroll", lambda: None) == 0
    assert errors.run_safely("memroll", lambda: errors.FOUND) == 3


@pytest.mark.parametrize("arguments", [["version"], ["crds"], ["--help"], ["report", "--help"]])
def test_a_closed_pipe_ends_a_command_silently(arguments):
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "memroll", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "operator")},
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")
