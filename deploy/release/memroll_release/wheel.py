"""The wheels of memroll and of the probe: built by hatchling, and compared with the sources."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from typing import TYPE_CHECKING

from memroll_release.release import ReleaseError
from memroll_release.run import run

if TYPE_CHECKING:
    from pathlib import Path

    from memroll_release.release import Release

PATTERNS = ("memroll-*.whl", "memroll_probe-*.whl")


@dataclass(frozen=True)
class Distribution:
    package: str
    project: str
    """Folder with the pyproject.toml."""
    source: str
    """Folder that contains the package."""


DISTRIBUTIONS = (Distribution("memroll", ".", "operator"), Distribution("memroll_probe", "probe", "probe"))


def build_wheels(release: Release, folder: Path) -> None:
    for distribution in DISTRIBUTIONS:
        check_wheel(build_wheel(release, distribution, folder), distribution, release)


def build_wheel(release: Release, distribution: Distribution, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    run(command, cwd=release.root / distribution.project, environment=release.environment)
    (wheel,) = folder.glob(f"{distribution.package}-*.whl")
    return wheel


def check_wheel(wheel: Path, distribution: Distribution, release: Release) -> None:
    """Raise unless a wheel has the files of the package, its licence, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        if archive.testzip() is not None:
            raise ReleaseError(f"{wheel.name} is damaged")
        names = set(archive.namelist())
        information = f"{wheel.name.partition('-py3')[0]}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{information}/METADATA").decode())
    packed = {name for name in names if not name.startswith(f"{information}/")}
    expected = _source_files(release.root / distribution.source, distribution.package)
    if packed != expected:
        raise ReleaseError(f"{wheel.name} differs from the sources: {', '.join(sorted(packed ^ expected))}")
    if f"{information}/licenses/LICENSE" not in names:
        raise ReleaseError(f"{wheel.name} has no LICENSE")
    if distribution.package == "memroll" and metadata["Version"] != release.version:
        raise ReleaseError(f"{wheel.name} has version {metadata['Version']}, not {release.version}")


def _source_files(source: Path, package: str) -> set[str]:
    paths = (path for path in (source / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(source).as_posix() for path in paths}
