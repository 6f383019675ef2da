from pathlib import Path

import pytest

from localcluster import context


@pytest.mark.parametrize(
    ("text", "path", "ignored"),
    [
        pytest.param("docs", "docs", True, id="a name"),
        pytest.param("docs", "docs/a/b.md", True, id="everything below a name"),
        pytest.param("docs", "operator/docs", False, id="a name is anchored"),
        pytest.param("**/docs", "operator/docs", True, id="at any depth"),
        pytest.param("**/docs", "docs", True, id="any depth includes the top"),
        pytest.param("*.md", "a.md", True, id="a star"),
        pytest.param("*.md", "docs/a.md", False, id="a star stops at a slash"),
        pytest.param("*.md", "a.mdx", False, id="the whole name must match"),
        pytest.param("*\n!operator", "operator/a.py", False, id="an exception includes again"),
        pytest.param("*\n!operator", "tests/a.py", True, id="an exception includes nothing else"),
        pytest.param("!a\na", "a", True, id="the last match decides"),
        pytest.param("# docs\n\n", "docs", False, id="comments and blank lines"),
        pytest.param("./docs/", "docs/a", True, id="a leading dot and a trailing slash"),
    ],
)
def test_ignore_patterns(text: str, path: str, *, ignored: bool) -> None:
    assert context.is_ignored(path, context.parse(text)) is ignored


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("a")
    (tmp_path / "notes.md").write_text("notes")
    (tmp_path / ".dockerignore").write_text("*\n!src\n")
    return tmp_path


def test_a_changed_file_changes_the_hash(folder: Path) -> None:
    before = context.digest(folder)
    (folder / "src/a.py").write_text("b")
    assert context.digest(folder) != before


def test_changed_permissions_change_the_hash(folder: Path) -> None:
    before = context.digest(folder)
    (folder / "src/a.py").chmod(0o755)
    assert context.digest(folder) != before


def test_a_renamed_file_changes_the_hash(folder: Path) -> None:
    before = context.digest(folder)
    (folder / "src/a.py").rename(folder / "src/b.py")
    assert context.digest(folder) != before


@pytest.mark.parametrize("name", ["notes.md", "src/__pycache__/a.pyc", ".git/HEAD"])
def test_ignored_files_and_those_of_tools_do_not_change_the_hash(folder: Path, name: str) -> None:
    before = context.digest(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("changed")
    assert context.digest(folder) == before
