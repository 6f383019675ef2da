"""`memroll backtest` from its arguments to its output and exit code."""

from __future__ import annotations

import json

import pytest

from memroll.backtest.baselines.rules import RULES
from memroll.cli import run
from tests.unit.backtest.histories import HOUR, folder, three

TRACE_KEYS = {
    "assessed",
    "interval_s",
    "sample_ratio",
    "name", "workload", "label", "limit_bytes", "first_roll_s", "confirmed_s", "suspected_s", "reason",
    "time_to_limit_s", "oom_s",
}  # fmt: skip


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return three(tmp_path_factory.mktemp("history"))


def backtest(*arguments):
    return run(["memroll", "backtest", *map(str, arguments)])


def test_json_holds_every_trace_the_summary_and_the_rules(history, capsys):
    assert backtest("--traces", history, "--output", "json", "--jobs", "1") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    found = json.loads(printed.out)
    assert set(found) == {"traces", "summary", "rules"}
    assert [set(t) for t in found["traces"]] == [TRACE_KEYS] * 3
    leak, flat, free = found["traces"]
    assert (leak["name"], flat["name"], free["name"]) == ("leak", "flat", "free")
    assert 30 * HOUR < leak["suspected_s"] <= leak["confirmed_s"] < leak["first_roll_s"] < leak["oom_s"]
    assert 0 < leak["time_to_limit_s"] < 2 * HOUR
    nothing = ("first_roll_s", "confirmed_s", "suspected_s", "time_to_limit_s", "oom_s")
    assert [[t[key] for key in nothing] for t in (flat, free)] == [[None] * 5] * 2
    assert free["limit_bytes"] is None
    assert [t["assessed"] for t in (leak, flat, free)] == [True, True, False]
    assert free["reason"].startswith("not assessed: NoMemoryLimit")
    assert found["summary"]["rolled"] == found["summary"]["saved"] == 1
    assert found["summary"]["labels"]["no-leak"]["traces"] == 2
    assert list(found["rules"]) == [r.name for r in RULES]
    first = found["rules"]["working-set-80"]["first_roll_s"]
    assert first["leak"] > 30 * HOUR
    assert first["flat"] is None


def test_without_rules_none_is_evaluated(history, capsys):
    assert backtest("--traces", history, "--output", "json", "--rules", "none") == 0
    assert json.loads(capsys.readouterr().out)["rules"] == {}


def test_the_table_has_suspected_traces_and_a_comparison(history, capsys):
    assert backtest("--traces", history) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:5] == ["TRACE", "LABEL", "SUSPECTED", "CONFIRMED", "ROLLED"]
    assert lines[1].startswith("leak ")
    assert lines[2].split()[:6] == ["free", "no-leak", "-", "-", "-", "-"]
    assert "not assessed: NoMemoryLimit" in lines[2]
    assert "Never suspected: 1. Not assessed: 1. Times are container ages." in lines
    compared = [line.split()[:4] for line in lines if line.startswith(("memroll", "working-set-80"))]
    assert compared == [
        ["memroll", "leak", "1", "0"],
        ["memroll", "no-leak", "2", "1"],
        ["working-set-80", "leak", "1", "0"],
        ["working-set-80", "no-leak", "2", "1"],
    ]


def test_a_policy_file_is_replayed(history, tmp_path, capsys):
    file = tmp_path / "p.yaml"
    file.write_text("kind: MemoryPolicy\nspec: {growth: {perHour: 90%}}\n")
    assert backtest("--traces", history, "--policy", file, "--output", "json", "--rules", "none") == 0
    assert json.loads(capsys.readouterr().out)["summary"]["confirmed"] == 0


def test_invalid_input_ends_with_2_and_prints_to_standard_error_only(tmp_path, capsys):
    assert backtest("--traces", folder(tmp_path, "name,limit_bytes\na,x\n")) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"memroll backtest: {tmp_path}/MANIFEST.csv: line 2, limit_bytes: 'x' must be")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--traces"),
        (["--traces", "x", "--jobs", "0"], "'0' must be a count of at least 1"),
        (["--traces", "x", "--plots", "-3"], "'-3' must be a count"),
        (["--traces", "x", "--output", "xml"], "'xml'"),
    ],
)
def test_invalid_arguments_end_with_2(arguments, words, capsys):
    assert backtest(*arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--since", "3d"), ("-n", "ai"), ("--workload", "web"), ("--match-label", "a=b")])
def test_an_option_of_prometheus_is_refused_with_a_folder_of_traces(option, history, capsys):
    assert backtest("--traces", history, *option) == 2
    assert "applies to --prometheus only" in capsys.readouterr().err
