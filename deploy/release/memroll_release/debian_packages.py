"""Debian packages of an image, from its dpkg database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll_release.release import ReleaseError

if TYPE_CHECKING:
    from memroll_release.oci_archive import OciArchive

STATUS, RELEASE = "var/lib/dpkg/status", "usr/lib/os-release"
INSTALLED = "install ok installed"


@dataclass(frozen=True)
class DebianPackage:
    name: str
    version: str
    architecture: str
    source: str
    distribution: str
    """Such as debian-12."""

    @property
    def purl(self) -> str:
        vendor = self.distribution.partition("-")[0]
        version = self.version.replace(":", "%3A").replace("+", "%2B").replace("~", "~")
        name = self.name.replace("+", "%2B")
        return f"pkg:deb/{vendor}/{name}@{version}?arch={self.architecture}&distro={self.distribution}"


def read_debian_packages(archive: OciArchive) -> list[DebianPackage]:
    status, release = archive.read_file(STATUS), archive.read_file(RELEASE)
    if status is None or release is None:
        raise ReleaseError(f"{archive.path.name} has no {STATUS} or no {RELEASE}: use a Debian-like base image")
    return parse_status(status.decode(), parse_distribution(release.decode()))


def parse_status(text: str, distribution: str) -> list[DebianPackage]:
    """Return the installed packages of a dpkg database."""
    packages = []
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status") == INSTALLED:
            name, version, architecture = (fields[key] for key in ("Package", "Version", "Architecture"))
            source = fields.get("Source", name).partition(" ")[0]
            packages.append(DebianPackage(name, version, architecture, source, distribution))
    return sorted(packages, key=lambda package: package.name)


def parse_distribution(text: str) -> str:
    """Return the name and the version of a distribution from its os-release."""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return "-".join(fields[key].strip('"') for key in ("ID", "VERSION_ID") if key in fields)
