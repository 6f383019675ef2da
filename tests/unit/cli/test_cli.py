"""The command line as a whole (memroll/cli/__init__.py): usage, version, CRDs."""

from __future__ import annotations

import pytest

from memroll import __version__
from memroll.api import crd
from memroll.cli import run


@pytest.mark.parametrize(("invoked_as", "name"), [("memroll", "memroll"), ("/x/kubectl-memroll", "kubectl memroll")])
def test_usage_names_the_invoked_command(invoked_as, name, capsys):
    with pytest.raises(SystemExit) as ended:
        run([invoked_as, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name} ")


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit):
        run(["memroll", "--version"])
    assert capsys.readouterr().out == f"memroll {__version__}\n"


def test_the_crds_are_printed_or_written(tmp_path, capsys):
    assert run(["memroll", "crds"]) == 0
    assert capsys.readouterr().out.count("kind: CustomResourceDefinition") == 2
    assert run(["memroll", "crds", "--write", str(tmp_path)]) == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == crd.files()
    assert run(["memroll", "crds", "--write", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
