"""An image's archive is checked by digest, and its files are those of the topmost layer."""

from __future__ import annotations

import pytest

from memroll_release.oci_archive import OciArchive
from memroll_release.release import ReleaseError
from tests.unit.release.oci_archives import layer, write_archive


def test_the_topmost_layer_has_the_content(tmp_path):
    layers = [layer({"etc/a": b"old", "etc/b": b"base"}), layer({"./etc/a": b"new"}, compressed=True)]
    write_archive(tmp_path / "image.tar", {}, layers=layers)
    archive = OciArchive(tmp_path / "image.tar")
    archive.check()
    assert (archive.read_file("etc/a"), archive.read_file("etc/b")) == (b"new", b"base")
    assert archive.read_file("etc/c") is None


def test_the_variables_of_the_image_are_read(tmp_path):
    write_archive(tmp_path / "image.tar", {"a": b""}, ["PATH=/bin"])
    assert OciArchive(tmp_path / "image.tar").read_configuration() == {"Env": ["PATH=/bin"]}


def test_a_damaged_layer_is_an_error(tmp_path):
    write_archive(tmp_path / "image.tar", {"a": b"b"}, damaged=True)
    with pytest.raises(ReleaseError, match=r"image.tar is damaged: blobs/sha256/\w+ has another digest"):
        OciArchive(tmp_path / "image.tar").check()


def test_a_truncated_file_is_an_error(tmp_path):
    (tmp_path / "image.tar").write_bytes(b"half")
    with pytest.raises(ReleaseError, match=r"image.tar is no archive"):
        OciArchive(tmp_path / "image.tar").check()
