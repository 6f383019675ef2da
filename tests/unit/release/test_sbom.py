"""The bills of materials are valid, complete, and the same for the same commit."""

from __future__ import annotations

import json

import pytest
from cyclonedx.model.component import ComponentType

from memroll_release import image, sbom
from memroll_release.locked_packages import parse_requirements
from memroll_release.oci_archive import OciArchive
from memroll_release.release import ROOT, ReleaseError
from tests.unit.release.oci_archives import write_archive

STATUS = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b7\n"
OS_RELEASE = b'ID=debian\nVERSION_ID="12"\n'


def read(path):
    text = path.read_text(encoding="utf-8")
    sbom.check_sbom(text)
    return json.loads(text)


@pytest.fixture
def bill(release, folder):
    sbom.build_sboms(release, folder)
    (path,) = folder.iterdir()
    return read(path)


def test_every_locked_package_has_its_version_licence_and_hashes(bill):
    locked = {package.name: package for package in parse_requirements((ROOT / "requirements.txt").read_text())}
    components = {component["name"]: component for component in bill["components"]}
    assert components.keys() == locked.keys()
    assert {name: one["version"] for name, one in components.items()} == {n: p.version for n, p in locked.items()}
    assert [name for name, one in components.items() if not one.get("licenses")] == []
    for name, component in components.items():
        (reference,) = component["externalReferences"]
        assert sorted(one["content"] for one in reference["hashes"]) == sorted(locked[name].hashes)
        assert locked[name].hashes


def test_memroll_requires_its_direct_dependencies_and_these_require_theirs(bill):
    requires = {one["ref"].partition("@")[0]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert any(ref.startswith("pkg:pypi/kopf@") for ref in requires["pkg:generic/memroll"])
    assert not any(ref.startswith("pkg:pypi/pydantic-core@") for ref in requires["pkg:generic/memroll"])
    assert any(ref.startswith("pkg:pypi/pydantic-core@") for ref in requires["pkg:pypi/pydantic"])


def test_the_same_commit_has_the_same_bill(release, folder, tmp_path):
    sbom.build_sboms(release, folder)
    sbom.write_sbom(tmp_path / "again", sbom.python_bom(release, ComponentType.APPLICATION))
    (path,) = folder.iterdir()
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_the_image_has_its_debian_packages_and_a_compiled_python_as_well(release, folder):
    archive = release.dist / image.archive_name(release)
    write_archive(archive, {"var/lib/dpkg/status": STATUS, "usr/lib/os-release": OS_RELEASE}, ["PYTHON_VERSION=3.11.9"])
    sbom.build_sboms(release, folder)
    bill = read(folder / f"memroll-{release.version}-image.cdx.json")
    purls = {component["purl"] for component in bill["components"]}
    assert "pkg:deb/debian/bash@5.2.15-2%2Bb7?arch=amd64&distro=debian-12" in purls
    assert "pkg:generic/python@3.11.9" in purls
    assert any(purl.startswith("pkg:pypi/kopf@") for purl in purls)
    assert bill["metadata"]["component"]["type"] == "container"


def test_an_image_without_a_list_of_packages_is_an_error(release, tmp_path):
    write_archive(tmp_path / "image.tar", {"etc/passwd": b""})
    with pytest.raises(ReleaseError, match=r"image.tar has no var/lib/dpkg/status"):
        sbom.image_bom(release, OciArchive(tmp_path / "image.tar"))


@pytest.mark.parametrize("text", ['{"bomFormat": "CycloneDX"}', '{"bomFormat":"CycloneDX","specVersion":"1.6"}'])
def test_an_invalid_or_empty_bill_is_refused(text):
    with pytest.raises(ReleaseError, match=r"the SBOM is invalid|the SBOM has no components"):
        sbom.check_sbom(text)
