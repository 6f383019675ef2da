"""Software bills of materials in CycloneDX: of the Python packages, and of the image with its Debian packages."""

from __future__ import annotations

import json
import tomllib
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from memroll_release.debian_packages import read_debian_packages
from memroll_release.image import archive_name
from memroll_release.locked_packages import parse_requirements, read_metadata, required_names
from memroll_release.oci_archive import OciArchive
from memroll_release.release import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

    from memroll_release.debian_packages import DebianPackage
    from memroll_release.locked_packages import LockedPackage, PackageMetadata
    from memroll_release.release import Release

PATTERNS = ("memroll-*.cdx.json",)
VERSION = SchemaVersion.V1_6
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "memroll.dev")


def build_sboms(release: Release, folder: Path) -> None:
    """Write the bill of the Python packages, and that of the image if its archive is there."""
    write_sbom(folder / f"memroll-{release.version}.cdx.json", python_bom(release, ComponentType.APPLICATION))
    archive = OciArchive(release.dist / archive_name(release))
    if archive.path.is_file():
        write_sbom(folder / f"memroll-{release.version}-image.cdx.json", image_bom(release, archive))


def write_sbom(path: Path, bom: Bom) -> None:
    text = make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string(indent=2)
    check_sbom(text)
    path.write_text(text + "\n", encoding="utf-8")


def check_sbom(text: str) -> None:
    """Raise unless a text is valid by the strict schema, which the library contains."""
    error = JsonStrictValidator(VERSION).validate_str(text)
    if error is not None:
        raise ReleaseError(f"the SBOM is invalid: {error}")
    if not json.loads(text).get("components"):
        raise ReleaseError("the SBOM has no components")


def python_bom(release: Release, kind: ComponentType) -> Bom:
    """Return the bill of memroll with the packages of requirements.txt and who requires whom."""
    root = _root(release, kind)
    bom = Bom(
        serial_number=uuid.uuid5(NAMESPACE, f"{kind.value} {release.version} {release.revision}"),
        metadata=BomMetaData(timestamp=datetime.fromtimestamp(release.epoch_s, UTC), component=root),
    )
    packages = parse_requirements((release.root / "requirements.txt").read_text(encoding="utf-8"))
    metadata = {package.name: read_metadata(package) for package in packages}
    components = {package.name: _python_component(package, metadata[package.name]) for package in packages}
    for component in components.values():
        bom.components.add(component)
    required = {name: one.requires for name, one in metadata.items()}
    bom.register_dependency(root, [components[name] for name in sorted(_direct_names(release))])
    for name, names in required.items():
        bom.register_dependency(components[name], [components[one] for one in sorted(names) if one in components])
    return bom


def image_bom(release: Release, archive: OciArchive) -> Bom:
    """Return the bill of the image: the Python packages, the Debian packages, and a Python from elsewhere."""
    bom = python_bom(release, ComponentType.CONTAINER)
    for package in read_debian_packages(archive):
        bom.components.add(_debian_component(package))
    variables = dict(value.split("=", 1) for value in archive.read_configuration().get("Env", ()))
    if version := variables.get("PYTHON_VERSION"):
        # Docker's Python images compile it: no package manager has it.
        purl = f"pkg:generic/python@{version}"
        bom.components.add(_component("python", version, purl, ComponentType.APPLICATION))
    return bom


def _root(release: Release, kind: ComponentType) -> Component:
    root = _component("memroll", release.version, f"pkg:generic/memroll@{release.version}", kind)
    root.licenses.add(LicenseFactory().make_from_string("Apache-2.0"))
    root.properties.add(Property(name="memroll:revision", value=release.revision))
    return root


def _python_component(package: LockedPackage, metadata: PackageMetadata) -> Component:
    component = _component(package.name, package.version, package.purl)
    if metadata.license:
        declared = LicenseAcknowledgement.DECLARED
        component.licenses.add(LicenseFactory().make_from_string(metadata.license, license_acknowledgement=declared))
    # The hashes are those of the files for all platforms, one of which is installed: not those of the component.
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.hashes]
    kind = ExternalReferenceType.DISTRIBUTION
    component.external_references.add(ExternalReference(type=kind, url=XsUri(package.purl), hashes=hashes))
    return component


def _debian_component(package: DebianPackage) -> Component:
    component = _component(package.name, package.version, package.purl)
    component.properties.add(Property(name="debian:source", value=package.source))
    return component


def _component(name: str, version: str, purl: str, kind: ComponentType = ComponentType.LIBRARY) -> Component:
    return Component(name=name, version=version, type=kind, bom_ref=purl, purl=PackageURL.from_string(purl))


def _direct_names(release: Release) -> frozenset[str]:
    project = tomllib.loads((release.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return required_names(project["dependencies"])
