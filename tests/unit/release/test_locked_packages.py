"""Packages, hashes and licences of requirements.txt."""

from __future__ import annotations

import pytest

from memroll_release.locked_packages import LockedPackage, parse_requirements, read_metadata, required_names
from memroll_release.release import ReleaseError

TEXT = f"""\
aiohttp==3.14.5 \\
    --hash=sha256:{"b" * 64} \\
    --hash=sha256:{"a" * 64}
Typing_Extensions==4.16.0 ; python_version < "3.13" \\
    --hash=sha256:{"c" * 64}
"""


def test_names_are_normalized_and_hashes_sorted():
    assert parse_requirements(TEXT) == [
        LockedPackage("aiohttp", "3.14.5", ("a" * 64, "b" * 64)),
        LockedPackage("typing-extensions", "4.16.0", ("c" * 64,)),
    ]


def test_packages_of_other_platforms_and_of_extras_are_not_required():
    lines = [
        "kopf~=1.45",
        'uvloop ; extra == "fast"',
        'colorama ; sys_platform == "win32"',
        "PyYAML>=6 ; python_version > '3'",
    ]
    assert required_names(lines) == {"kopf", "pyyaml"}


def test_another_version_than_the_locked_one_is_an_error():
    with pytest.raises(ReleaseError, match=r"pytest \S+ is installed, and requirements.txt has 0.1"):
        read_metadata(LockedPackage("pytest", "0.1", ()))


def test_a_package_that_is_not_installed_is_an_error():
    with pytest.raises(ReleaseError, match="no-such-package is not installed: run `make dist`"):
        read_metadata(LockedPackage("no-such-package", "1", ()))
