"""Builds parts of a release: each in a folder of its own, checked, and then renamed into the folder of the release."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from memroll_release.checksums import write_checksums
from memroll_release.release import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memroll_release.release import Release

UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Part:
    """Part of a release.

    `build` writes the files into an empty folder and checks them. `missing` returns what this machine lacks
    for it, with the remedy, or nothing.
    """

    name: str
    patterns: tuple[str, ...]
    build: Callable[[Release, Path], None]
    missing: Callable[[Release], str] = lambda _: ""

    def files(self, folder: Path) -> list[Path]:
        return sorted(path for pattern in self.patterns for path in folder.glob(pattern))


def build_parts(
    parts: Sequence[Part], only: Sequence[str], release: Release, report: Callable[[str], None]
) -> list[str]:
    """Build the parts, or only those that are named; return the errors."""
    if unknown := sorted(set(only) - {part.name for part in parts}):
        return [f"there is no part {', '.join(unknown)}; there are {', '.join(part.name for part in parts)}"]
    dist = release.dist
    dist.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(dist)
    errors = []
    for part in parts:
        if only and part.name not in only:
            continue
        try:
            _build(part, release, report)
        except ReleaseError as error:
            errors.append(f"{part.name}: {error}")
            _replace(part, dist, None)
    write_checksums(dist, [file for part in parts for file in part.files(dist)])
    return errors


def _build(part: Part, release: Release, report: Callable[[str], None]) -> None:
    if reason := part.missing(release):
        raise ReleaseError(f"not built: {reason}")
    report(f"building {part.name}")
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=release.dist) as folder:
        part.build(release, Path(folder))
        _replace(part, release.dist, Path(folder))


def _replace(part: Part, dist: Path, built: Path | None) -> None:
    """Rename the built files into the folder of the release; remove those of an earlier build."""
    new = {} if built is None else {path.name: path for path in built.iterdir()}
    foreign = [name for name in new if not any(fnmatch(name, pattern) for pattern in part.patterns)]
    if foreign:
        raise ReleaseError(f"{foreign[0]} is none of {', '.join(part.patterns)}")
    for old in part.files(dist):
        if old.name not in new:
            old.unlink()
    for name, path in new.items():
        path.replace(dist / name)


def _remove_unfinished(dist: Path) -> None:
    """Remove what a killed build has left."""
    for folder in dist.glob(f"{UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)
