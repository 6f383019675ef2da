"""Packages of requirements.txt, with their licences from the metadata of the installed packages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from memroll_release.release import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
CLASSIFIER = "License :: OSI Approved :: "
MAX_LICENSE_NAME = 80
"""Longest `License` field that is a name, in characters; a longer one is the text of a licence. Chosen by hand."""


@dataclass(frozen=True)
class LockedPackage:
    name: str
    version: str
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed."""

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


@dataclass(frozen=True)
class PackageMetadata:
    license: str
    requires: frozenset[str]


def parse_requirements(text: str) -> list[LockedPackage]:
    packages = []
    for block in re.split(r"\n(?=\S)", text):
        found = PINNED.match(block)
        if found is not None:
            packages.append(LockedPackage(normalize(found[1]), found[2], tuple(sorted(HASH.findall(block)))))
    return packages


def read_metadata(package: LockedPackage) -> PackageMetadata:
    """Return the metadata of an installed package, which must have the locked version."""
    try:
        installed = distribution(package.name)
    except PackageNotFoundError as error:
        raise ReleaseError(f"{package.name} is not installed: run `make dist`, which sets up .venv") from error
    if installed.version != package.version:
        raise ReleaseError(
            f"{package.name} {installed.version} is installed, and requirements.txt has {package.version}: "
            "run `make requirements`, which pins both files alike"
        )
    return PackageMetadata(_license(installed), required_names(installed.requires or ()))


def required_names(requires: Sequence[str]) -> frozenset[str]:
    """Return the names of the packages that are required on this platform, without extras."""
    requirements = (Requirement(line) for line in requires)
    return frozenset(
        normalize(one.name) for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})
    )


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _license(installed: Distribution) -> str:
    fields = installed.metadata
    for name in ("License-Expression", "License"):
        value = (fields[name] or "").strip() if name in fields else ""
        if value and value != "UNKNOWN" and len(value) <= MAX_LICENSE_NAME and "\n" not in value:
            return value
    named = [c.removeprefix(CLASSIFIER) for c in fields.get_all("Classifier") or () if c.startswith(CLASSIFIER)]
    return named[0] if named else ""
