"""Completion of commands and options, by the scripts of shells and by the protocol of kubectl's plugins."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from memroll.cli import COMPLETION_VARIABLE, run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_requests_completions_of_memroll(shell, capsys):
    assert run(["memroll", "completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"{COMPLETION_VARIABLE}=" in script
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script.encode(), check=False).returncode == 0


def test_another_shell_is_refused(capsys):
    assert run(["memroll", "completion", "tcsh"]) == 2
    assert "'tcsh' is not one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], "report\tWrite a report"),
        (["rep"], "report\tWrite a report"),
        (["report", "--all-n"], "--all-namespaces\tall namespaces"),
        (["completion", "z"], "zsh"),
        (["report", "-o", "j"], "json"),
    ],
)
def test_kubectl_gets_completions_with_their_help(words, expected, capsys):
    assert run(["memroll", "__complete", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(expected) for line in lines)
    assert lines[-1] == ":4"


def test_kubectl_s_script_is_a_program(capsys):
    assert run(["memroll", "completion", "kubectl"]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/sh\n")


def test_hidden_commands_are_not_completed(capsys):
    run(["memroll", "__complete", "_"])
    assert "__complete" not in capsys.readouterr().out


def test_contexts_of_the_kubeconfig_are_completed(tmp_path, monkeypatch, capsys):
    file = tmp_path / "config"
    file.write_text("contexts: [{name: prod-eu}, {name: prod-us}, {name: dev}]")
    run(["memroll", "__complete", "report", "--kubeconfig", str(file), "--context", "prod"])
    assert capsys.readouterr().out.splitlines() == ["prod-eu", "prod-us", ":4"]
    file.write_text("[")
    run(["memroll", "__complete", "report", "--kubeconfig", str(file), "--context", ""])
    assert capsys.readouterr().out.splitlines() == [":4"]
