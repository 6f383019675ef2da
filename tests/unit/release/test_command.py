"""The command in one file has no path of the machine that built it."""

from __future__ import annotations

from memroll_release.command import remove_scripts


def test_the_packages_own_commands_are_removed_with_their_records(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kopf").write_text("#!/home/someone/python\n")
    record = tmp_path / "kopf-1.dist-info/RECORD"
    record.parent.mkdir()
    record.write_text("../../bin/kopf,sha256=x,9\nkopf/__init__.py,sha256=y,8\n")
    remove_scripts(tmp_path)
    assert not (tmp_path / "bin").exists()
    assert record.read_text() == "kopf/__init__.py,sha256=y,8\n"
