"""Versions of the release, and the conditions for a tag."""

from __future__ import annotations

import subprocess

import pytest

from memroll import __version__
from memroll_release import __main__ as command_line
from memroll_release.release import ROOT, Options, ReleaseError, find_tag_errors, read_release

CHART = 'version: 0.7.0\nappVersion: "{}"\n'


@pytest.fixture
def checkout(tmp_path):
    """Checkout of version 1.2.3 that is ready for its tag, except for what a test changes."""
    root = tmp_path / "checkout"
    files = {
        "operator/memroll/__init__.py": '"""Doc."""\n__version__ = "1.2.3"\n',
        "deploy/helm/memroll/Chart.yaml": CHART.format("1.2.3"),
        "CHANGELOG.md": "# Changelog\n\n## [1.2.3] - 2026-01-02\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "All"]):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def tag_errors(root, tag="v1.2.3"):
    return find_tag_errors(read_release(root, root / "dist", Options(), {}), tag)


def test_the_chart_installs_the_version_of_the_package(release):
    assert (release.version, release.app_version) == (__version__, __version__)


def test_the_time_is_that_of_the_commit(checkout):
    committed = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=checkout, capture_output=True, check=True)
    release = read_release(checkout, checkout / "dist", Options(), {})
    assert release.epoch_s == int(committed.stdout)
    assert release.environment["SOURCE_DATE_EPOCH"] == str(release.epoch_s)
    assert read_release(checkout, checkout, Options(), {"SOURCE_DATE_EPOCH": "17"}).epoch_s == 17


def test_a_source_tree_without_git_needs_a_time(tmp_path, checkout):
    (checkout / ".git").rename(tmp_path / "git")
    with pytest.raises(ReleaseError, match="set SOURCE_DATE_EPOCH"):
        read_release(checkout, checkout, Options(), {"GIT_CEILING_DIRECTORIES": str(tmp_path)})


def test_a_checkout_that_is_ready_has_no_tag_errors(checkout):
    assert tag_errors(checkout) == []


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("deploy/helm/memroll/Chart.yaml", CHART.format("1.2.2"), "Chart.yaml has appVersion 1.2.2, and"),
        ("CHANGELOG.md", "## [Unreleased]\n", "CHANGELOG.md has no section [1.2.3]"),
        ("new.txt", "", "changes that are not committed: ?? new.txt"),
    ],
)
def test_a_tag_error_names_what_is_missing(checkout, name, text, error):
    (checkout / name).write_text(text)
    assert any(error in found for found in tag_errors(checkout))


def test_a_tag_of_another_version_is_an_error(checkout):
    assert tag_errors(checkout, "v1.2.4") == ["the tag is v1.2.4, and memroll's version is 1.2.3: tag v1.2.3"]


def test_nothing_is_built_for_a_wrong_tag(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "17")
    assert command_line.main(["--dist", str(tmp_path / "dist"), "--tag", "v99.0.0"]) == command_line.EXIT_ERROR
    assert "error: the tag is v99.0.0" in capsys.readouterr().err
    assert not (tmp_path / "dist").exists()


def test_the_make_target_passes_every_option_of_the_command_line():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("-m memroll_release ")[2].partition("\n\n")[0]
    options = {option for action in command_line._parser()._actions for option in action.option_strings}
    assert options - {"-h", "--help", "--dist"} == {word for word in recipe.split() if word.startswith("--")}
