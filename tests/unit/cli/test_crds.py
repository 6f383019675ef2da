from __future__ import annotations

from memroll.api import crd
from memroll.cli import run


def test_the_crds_are_printed_or_written(tmp_path, capsys):
    assert run(["memroll", "crds"]) == 0
    assert capsys.readouterr().out.count("kind: CustomResourceDefinition") == 2
    assert run(["memroll", "crds", "--write", str(tmp_path)]) == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == crd.files()


def test_a_folder_that_can_t_be_written_is_named(tmp_path, capsys):
    assert run(["memroll", "crds", "--write", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    for name in crd.files():
        (tmp_path / name).mkdir()
    assert run(["memroll", "crds", "--write", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"memroll crds: --write {tmp_path}/")
    assert "choose a folder that you can write" in error
