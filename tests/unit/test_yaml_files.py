"""YAML files of a person: each defect is one line with the path, and without the file's content."""

from __future__ import annotations

from pathlib import Path

import pytest

from memroll.yaml_files import MAX_BYTES, YamlFileError, read_document, read_documents

DEFECTS = {
    "broken": (b"a: [s3cr3t", "not valid YAML in line 1"),
    "a tag": (b"a: !!python/object:os.system s3cr3t", "not valid YAML in line 1"),
    "bytes": (b"\x00s3cr3t", "not valid YAML in UTF-8"),
    "Latin 1": (b"a: \xe9s3cr3t", "not valid YAML in UTF-8"),
    "a deep list": (b"[" * 5000, "nested too deeply"),
    "a large file": (b"s3cr3t: " + b"x" * MAX_BYTES, "larger than 1 MiB"),
    "two documents": (b"a: s3cr3t\n---\nb: 1\n", "2 documents, must be one"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_named_without_the_content(name: str, tmp_path: Path) -> None:
    content, words = DEFECTS[name]
    file = tmp_path / "file.yaml"
    file.write_bytes(content)
    with pytest.raises(YamlFileError) as raised:
        read_document(file)
    assert str(raised.value).startswith(f"{file}: {words}")
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize("path", ["/nowhere/x", "/", f"/tmp/{'a' * 300}", "a\0b"])
def test_a_path_that_is_no_file_is_an_error_of_one_kind(path: str) -> None:
    with pytest.raises(YamlFileError):
        read_documents(Path(path))


def test_empty_documents_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(b"\xef\xbb\xbf---\n---\na: 1\n---\n")
    assert read_document(file) == {"a": 1}
    file.write_text("")
    assert read_document(file) is None
