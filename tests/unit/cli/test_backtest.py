"""`memroll backtest` from its arguments to its output and exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from memroll.backtest.baselines.rules import RULES
from memroll.cli import run
from tests.processes import interruptible
from tests.texts import ROOT
from tests.unit.backtest.histories import HOUR, csv_of, folder, line, three

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
    assert "applies to --prometheus and --connections only, not to --traces" in capsys.readouterr().err


def test_one_rule_can_be_chosen(history, capsys):
    assert backtest("--traces", history, "--output", "json", "--rules", "deriv,working-set-95") == 0
    assert list(json.loads(capsys.readouterr().out)["rules"]) == ["working-set-95", "deriv"]
    assert backtest("--traces", history, "--rules", "derive") == 2
    assert "Did you mean 'deriv'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--traces", "x", "--prometheus", "http://h"], "exactly one of --traces PATH, --prometheus URL and"),
        (["--prometheus", "http://h", "-n", "ai", "--limit", "1Gi"], "--limit applies to --traces and"),
        (["--prometheus", "http://h", "-n", "ai", "--connection", "eu"], "--connection applies to"),
        (["--connections", "c.yaml"], "needs -n NAME"),
        (["--connections", "nowhere.yaml", "-n", "ai"], "nowhere.yaml: No such file"),
        (["--traces", "x", "--limit", "much"], "'much' is not a quantity of bytes"),
        (["--traces", "x", "--report", "out.pdf"], "a name that ends with .html"),
        (["--traces", "nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_options_that_do_not_fit_together_end_with_2(arguments, words, capsys):
    assert backtest(*arguments) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert words in printed.err


def test_the_exit_code_is_that_of_the_result_on_request(history, tmp_path, capsys):
    assert backtest("--traces", history, "--rules", "none") == 0
    assert backtest("--traces", history, "--rules", "none", "--exit-code") == 3
    assert backtest("--traces", folder(tmp_path, "name,limit_bytes\na,1Gi\n", a=FLAT), "--exit-code") == 4
    times = "".join(f"{n * 60},{2**20}\n" for n in range(2000))
    assert (
        backtest("--traces", folder(tmp_path, "name,limit_bytes\na,1Gi\n", a=f"t_s,bytes\n{times}"), "--exit-code") == 0
    )
    capsys.readouterr()


FLAT = "t_s,bytes\n0,10\n60,10\n"


def test_an_exported_file_is_replayed_with_a_limit(tmp_path, capsys):
    values = [[n * 60, str(2**20)] for n in range(2000)]
    result = [{"metric": {"pod": "web-1", "container": "app"}, "values": values}]
    file = tmp_path / "query_range.json"
    file.write_text(json.dumps({"data": {"resultType": "matrix", "result": result}}))
    assert backtest("--traces", file, "--limit", "1Gi", "-o", "json", "--rules", "none") == 0
    (trace,) = json.loads(capsys.readouterr().out)["traces"]
    assert (trace["name"], trace["limit_bytes"], trace["assessed"]) == ("web-1/app", 2**30, True)


def test_ctrl_c_ends_all_processes_with_one_line(tmp_path):
    times, values = line(600)
    names = [f"t{n}" for n in range(40)]
    manifest = "name,limit_bytes\n" + "".join(f"{name},1Gi\n" for name in names)
    traces = folder(tmp_path, manifest, **dict.fromkeys(names, csv_of(times, values)))
    command = interruptible("-m", "memroll", "backtest", "--traces", str(traces), "--jobs", "2")
    with subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT / "operator")},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(children.read_text().split()) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.decode()) == (130, b"", "memroll backtest: interrupted\n")
