"""The wheels have the packages and nothing else, and the same bytes for the same commit."""

from __future__ import annotations

import zipfile

import pytest

from memroll_release import wheel
from memroll_release.checksums import hash_file
from memroll_release.release import ROOT, Options, ReleaseError, read_release


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    release = read_release(ROOT, folder, Options(), {"SOURCE_DATE_EPOCH": "1700000000"})
    wheel.build_wheels(release, folder)
    return release, folder


def test_both_wheels_are_typed_and_without_tests(built):
    release, folder = built
    for package in ("memroll", "memroll_probe"):
        (path,) = folder.glob(f"{package}-*.whl")
        names = zipfile.ZipFile(path).namelist()
        assert f"{package}/py.typed" in names
        assert [name for name in names if name.startswith("test") or "/test" in name or "__pycache__" in name] == []
    assert (folder / f"memroll-{release.version}-py3-none-any.whl").exists()


def test_the_same_commit_has_the_same_wheel(built, tmp_path):
    release, folder = built
    again = wheel.build_wheel(release, wheel.DISTRIBUTIONS[0], tmp_path)
    assert hash_file(again) == hash_file(folder / again.name)


@pytest.mark.parametrize(
    ("removed", "added", "error"),
    [
        ("memroll/py.typed", None, "differs from the sources: memroll/py.typed"),
        (None, "tests/test_x.py", "differs from the sources: tests/test_x.py"),
        ("memroll-{}.dist-info/licenses/LICENSE", None, "has no LICENSE"),
    ],
)
def test_a_wheel_with_other_content_is_refused(built, tmp_path, removed, added, error):
    release, folder = built
    name = f"memroll-{release.version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / name) as old, zipfile.ZipFile(tmp_path / name, "w") as new:
        for entry in old.namelist():
            if entry != (removed or "").format(release.version):
                new.writestr(entry, old.read(entry))
        if added:
            new.writestr(added, "")
    with pytest.raises(ReleaseError, match=error):
        wheel.check_wheel(tmp_path / name, wheel.DISTRIBUTIONS[0], release)
