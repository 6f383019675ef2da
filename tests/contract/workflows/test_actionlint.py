"""The workflow files are valid: actionlint checks their syntax, types, contexts and permissions."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.contract.workflows import build_actionlint
from tests.texts import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))


@pytest.fixture(scope="module")
def actionlint() -> str:
    found = build_actionlint.find(os.environ)
    if found is None:
        reason = (
            "actionlint is not built: PYTHONPATH=.:deploy/local python -m tests.contract.workflows.build_actionlint"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(found)


def lint(actionlint: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    # Without the two options, the result depends on the linters that are installed.
    command = [actionlint, "-no-color", "-shellcheck=", "-pyflakes=", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_actionlint_finds_no_fault_in_the_workflows(actionlint):
    assert WORKFLOWS
    done = lint(actionlint, *WORKFLOWS)
    assert (done.returncode, done.stdout) == (0, "")


def test_actionlint_finds_a_fault_where_there_is_one(actionlint, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "runs-onn:", 1), encoding="utf-8")
    done = lint(actionlint, wrong)
    assert done.returncode == 1
    assert 'unexpected key "runs-onn"' in done.stdout
