"""The command line as a whole: usage, help, suggestions, version and the lazy commands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from memroll import __version__
from memroll.cli import app, run
from tests.texts import ROOT


@pytest.mark.parametrize(("invoked_as", "name"), [("memroll", "memroll"), ("/x/kubectl-memroll", "kubectl memroll")])
def test_usage_names_the_invoked_command(invoked_as, name, capsys):
    assert run([invoked_as, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: {name} ")
    assert run([invoked_as, "report", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: {name} report ")
    assert f"\n  {name} report -n ai\n" in shown, "examples can be copied"


def test_without_a_command_the_help_is_shown(capsys):
    assert run(["memroll"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Usage: memroll [OPTIONS]")
    assert printed.out.count("\n") > len(app.ENTRIES)
    assert printed.err == ""


def test_the_version_is_printed(capsys):
    assert run(["memroll", "--version"]) == 0
    assert capsys.readouterr().out == f"memroll {__version__}\n"


@pytest.mark.parametrize("name", app.ENTRIES)
def test_every_command_has_help_that_fits_its_summary_and_examples(name, capsys):
    assert run(["memroll", name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: memroll {name}" in shown
    examples = shown.partition("Examples:\n")[2].splitlines()
    assert examples
    assert all(f"memroll {name}" in line or f"memroll {name}" in f"memroll {line}" for line in examples)
    found = app.memroll.get_command(app.click.Context(app.memroll), name)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["reprot"], "memroll: No such command 'reprot'. Did you mean 'report'? see 'memroll --help'"),
        (["nothing-like-it"], "memroll: No such command 'nothing-like-it': see 'memroll --help'"),
        (["-n", "ai", "status"], "No such option '-n': options follow the name of a command: memroll COMMAND -n ..."),
        (["report", "--sinse", "3d"], "Did you mean"),
        (["report", "extra"], "memroll report: Got unexpected extra argument (extra)"),
        (["backtest", "-o", "xml"], "'xml' is not one of 'table', 'json'"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(arguments, expected, capsys):
    assert run(["memroll", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert expected in printed.err
    assert printed.err.count("\n") == 1


def test_the_help_of_a_command_is_shown_by_name_as_well(capsys):
    assert run(["memroll", "help", "crds"]) == 0
    assert capsys.readouterr().out.startswith("Usage: memroll crds ")
    assert run(["memroll", "help"]) == 0
    assert "backtest  Replay a policy" in capsys.readouterr().out
    assert run(["memroll", "help", "crd"]) == 2
    assert "Did you mean 'crds'" in capsys.readouterr().err


def test_the_help_loads_neither_numpy_nor_the_clients():
    code = (
        "import sys\nfrom memroll.cli import run\nrun(['memroll', '--help'])\n"
        "print([m for m in ('numpy', 'kubernetes', 'kopf', 'pydantic', 'rich') if m in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "operator", capture_output=True, check=True)
    assert ended.stderr.decode().strip() == "['pydantic']", "the grammar of durations needs pydantic, and no more"


@pytest.mark.parametrize("name", app.ENTRIES)
def test_the_docs_have_a_row_for_each_command(name):
    assert f"\n| `memroll {name}` |" in (ROOT / "docs/commands.md").read_text()
