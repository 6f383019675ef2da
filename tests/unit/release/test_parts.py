"""A part is complete or absent, and the checksums are those of the files that are there."""

from __future__ import annotations

import hashlib

import pytest

from memroll_release.parts import UNFINISHED, Part, build_parts
from memroll_release.release import ReleaseError


def writes(name, content="new"):
    return lambda _, folder: (folder / name).write_text(content)


def fails_half_way(_, folder):
    (folder / "chart-2.tgz").write_text("half")
    raise ReleaseError("no room")


def build(release, *parts, only=()):
    return build_parts(parts, only, release, lambda _: None)


def names(release):
    return sorted(path.name for path in release.dist.iterdir())


def test_files_replace_those_of_an_earlier_version(release):
    (release.dist / "chart-1.tgz").write_text("old")
    (release.dist / "notes.txt").write_text("mine")
    assert build(release, Part("chart", ("chart-*.tgz",), writes("chart-2.tgz"))) == []
    assert names(release) == ["SHA256SUMS", "chart-2.tgz", "notes.txt"]
    digest = hashlib.sha256(b"new").hexdigest()
    assert (release.dist / "SHA256SUMS").read_text() == f"{digest}  chart-2.tgz\n"


def test_a_failed_build_leaves_no_file_and_the_other_parts_are_built(release):
    (release.dist / "chart-1.tgz").write_text("old")
    wheel = Part("wheel", ("*.whl",), writes("a.whl"))
    assert build(release, Part("chart", ("chart-*.tgz",), fails_half_way), wheel) == ["chart: no room"]
    assert names(release) == ["SHA256SUMS", "a.whl"]


def test_a_part_that_the_machine_can_not_build_is_reported_with_the_remedy(release):
    (release.dist / "image-1.tar").write_text("of an earlier build")
    image = Part("image", ("image-*.tar",), writes("image-2.tar"), lambda _: "there is no buildah: install it")
    assert build(release, image) == ["image: not built: there is no buildah: install it"]
    assert names(release) == ["SHA256SUMS"]


def test_one_part_is_built_alone(release):
    parts = Part("wheel", ("*.whl",), writes("a.whl")), Part("chart", ("*.tgz",), writes("a.tgz"))
    assert build(release, *parts, only=["chart"]) == []
    assert names(release) == ["SHA256SUMS", "a.tgz"]


def test_a_misspelled_part_is_an_error_and_nothing_is_built(release):
    parts = Part("wheel", ("*.whl",), writes("a.whl")), Part("chart", ("*.tgz",), writes("a.tgz"))
    assert build(release, *parts, only=["chrat"]) == ["there is no part chrat; there are wheel, chart"]
    assert names(release) == []


def test_remains_of_a_killed_build_are_removed(release):
    (release.dist / f"{UNFINISHED}x").mkdir()
    (release.dist / f"{UNFINISHED}x/a.whl").write_text("half")
    build(release, Part("wheel", ("*.whl",), writes("a.whl")))
    assert names(release) == ["SHA256SUMS", "a.whl"]


def test_a_file_that_the_part_does_not_own_is_an_error(release):
    errors = build(release, Part("wheel", ("*.whl",), writes("a.txt")))
    assert errors == ["wheel: a.txt is none of *.whl"]


@pytest.mark.parametrize("signal", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_nothing_of_itself(release, signal):
    def interrupted(_, folder):
        (folder / "a.whl").write_text("half")
        raise signal

    with pytest.raises(signal):
        build(release, Part("wheel", ("*.whl",), interrupted))
    assert names(release) == []
