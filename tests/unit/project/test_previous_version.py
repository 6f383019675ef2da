"""The version that the upgrade test starts from, in histories of several shapes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e import previous_version
from tests.e2e.previous_version import CHART_FILE, HistoryMissingError, find_previous, run_git
from tests.texts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")


def commit(root: Path, name: str, version: str = "") -> str:
    """Commit a file named like the commit and, if a version is given, the chart with it."""
    (root / name).write_text(name)
    if version:
        (root / CHART_FILE).parent.mkdir(parents=True, exist_ok=True)
        (root / CHART_FILE).write_text(f"name: memroll\nversion: {version}\n")
    run_git(root, "add", "-A")
    run_git(root, *AUTHOR, "commit", "-qm", name)
    return run_git(root, "rev-parse", "HEAD").strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    run_git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "first", "0.1.0")
    return tmp_path


def test_it_is_the_last_commit_before_the_version_was_raised(clone):
    expected = commit(clone, "a change of code")
    commit(clone, "raised", "0.2.0")
    commit(clone, "the chart again, same version", "0.2.0")
    assert find_previous(clone) == expected


def test_versions_are_compared_as_numbers(clone):
    expected = commit(clone, "nine", "0.9.0")
    commit(clone, "ten", "0.10.0")
    assert find_previous(clone) == expected


def test_a_version_that_is_raised_but_not_committed_is_upgraded_from_the_head(clone):
    expected = commit(clone, "a change of code")
    (clone / CHART_FILE).write_text("version: 0.2.0\n")
    assert find_previous(clone) == expected


def test_a_merged_branch_is_upgraded_from_the_branch_that_it_was_merged_into(clone):
    run_git(clone, "checkout", "-qb", "topic")
    commit(clone, "raised", "0.2.0")
    run_git(clone, "checkout", "-q", "main")
    expected = commit(clone, "meanwhile")
    run_git(clone, *AUTHOR, "merge", "-q", "--no-ff", "-m", "merge", "topic")
    assert find_previous(clone) == expected


def test_a_version_that_was_never_raised_is_an_error_and_no_reason_to_skip(clone):
    with pytest.raises(LookupError, match="no commit has a lower version"):
        find_previous(clone)


def test_a_shallow_clone_and_a_folder_without_history_are_reasons_to_skip(clone, tmp_path_factory):
    commit(clone, "raised", "0.2.0")
    commit(clone, "a change of code")
    shallow = tmp_path_factory.mktemp("shallow")
    subprocess.run(["git", "clone", "-q", "--depth=1", clone.as_uri(), str(shallow)], check=True)
    with pytest.raises(HistoryMissingError, match="git fetch --unshallow"):
        find_previous(shallow)
    with pytest.raises(HistoryMissingError, match="no clone"):
        find_previous(tmp_path_factory.mktemp("empty"))


def test_the_tree_of_the_commit_is_written_elsewhere(clone, tmp_path_factory):
    old = commit(clone, "old")
    commit(clone, "new", "0.2.0")
    folder = previous_version.check_out(clone, old, tmp_path_factory.mktemp("tree"))
    assert (folder / "old").is_file()
    assert not (folder / "new").exists()
    assert run_git(clone, "status", "--porcelain") == ""


def test_this_repository_has_a_version_to_upgrade_from():
    try:
        found = find_previous(ROOT)
    except HistoryMissingError as missing:
        pytest.skip(str(missing))
    old = previous_version.chart_version(run_git(ROOT, "show", f"{found}:{CHART_FILE}"))
    assert old < previous_version.chart_version((ROOT / CHART_FILE).read_text(encoding="utf-8"))
