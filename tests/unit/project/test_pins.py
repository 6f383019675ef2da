"""Packages whose interface changes in a minor version are pinned to one; the files agree."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.texts import ROOT

RECENTLY_CHANGED = {
    "kopf": "1.44 and 1.45 changed the posting of Events, batching and logins",
    "kubernetes": "37 replaced its models, and has kubernetes.aio, which memroll uses",
    "prometheus-api-client": "before 1.0",
    "prometheus-client": "before 1.0",
}
"""Packages that are pinned to a minor version, with the reason."""


def lines(name):
    return [line for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if line and line[0] not in "#-"]


def dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {one.name: one for one in map(Requirement, project["dependencies"])}


def locked():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    return {name: Version(version) for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)}


def permits_another_minor_version(requirement, version):
    others = (
        f"{version.major}.{version.minor + 1}",
        f"{version.major}.{version.minor + 1}.1",
        f"{version.major + 1}.0",
    )
    return any(requirement.specifier.contains(other) for other in others)


@pytest.mark.parametrize("name", RECENTLY_CHANGED)
def test_a_package_that_changed_recently_is_pinned_to_a_minor_version(name):
    requirement = dependencies()[name]
    assert requirement.specifier.contains(locked()[name])
    assert not permits_another_minor_version(requirement, locked()[name])


def test_every_package_before_1_0_is_among_them():
    """Semantic Versioning permits any change in a minor version before 1.0."""
    assert {name for name in dependencies() if locked()[name].major == 0} <= RECENTLY_CHANGED.keys()


@pytest.mark.parametrize(
    ("specifier", "permitted"),
    [("~=37.0.2", False), (">=37.0.2,<37.1", False), (">=37,<38", True), (">=37", True), ("~=37.0", True)],
)
def test_the_check_recognizes_a_range_of_minor_versions(specifier, permitted):
    assert permits_another_minor_version(Requirement(f"kubernetes{specifier}"), Version("37.0.2")) is permitted


def test_the_wheel_and_the_image_have_the_same_dependencies():
    assert {str(one) for one in dependencies().values()} == {
        str(Requirement(line)) for line in lines("requirements.in")
    }


def test_every_dependency_has_an_upper_bound_and_is_locked_within_it():
    unbounded = {"tzdata"}  # its versions are dates
    for name, requirement in dependencies().items():
        assert requirement.specifier.contains(locked()[name]), name
        assert name in unbounded or not requirement.specifier.contains("99999.0"), name
