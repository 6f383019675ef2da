"""Versions, times and folders of a release, read from the repository; the parts are built from them."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
CHART = Path("deploy/helm/memroll")


class ReleaseError(Exception):
    """The release can't be built; the message has the remedy."""


@dataclass(frozen=True)
class Options:
    """Choices of the person or workflow that builds."""

    python: str = "python3"
    """Python that is going to run the command."""
    release_url: str = "https://example.com/releases"
    """Address from which the files are going to be served."""
    image: str = ""
    """Repository of the image, which becomes the chart's default. Empty: the default of the chart's values."""
    base: str = ""
    """Base image. Empty: that of the Dockerfile."""


@dataclass(frozen=True)
class Release:
    root: Path
    dist: Path
    """Folder of the files of the release."""
    version: str
    chart_version: str
    app_version: str
    epoch_s: int
    """Time of the commit, which is the time of everything in the release."""
    revision: str
    options: Options

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SOURCE_DATE_EPOCH": str(self.epoch_s)}


def read_release(root: Path, dist: Path, options: Options, environment: Mapping[str, str]) -> Release:
    chart = yaml.safe_load((root / CHART / "Chart.yaml").read_text(encoding="utf-8"))
    epoch = environment.get("SOURCE_DATE_EPOCH") or git(root, "log", "-1", "--format=%ct")
    if not epoch.isdecimal():
        raise ReleaseError("the time of the release is unknown: build in a git checkout, or set SOURCE_DATE_EPOCH")
    return Release(
        root=root,
        dist=dist,
        version=read_version(root),
        chart_version=chart["version"],
        app_version=chart["appVersion"],
        epoch_s=int(epoch),
        revision=git(root, "rev-parse", "HEAD") or "unknown",
        options=options,
    )


def read_version(root: Path) -> str:
    text = (root / "operator/memroll/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ReleaseError('operator/memroll/__init__.py has no line `__version__ = "..."`')
    return found[1]


def git(root: Path, *arguments: str) -> str:
    """Return the output of git, or nothing outside of a checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def find_tag_errors(release: Release, tag: str) -> list[str]:
    """Return the reasons why the repository is not ready for a tag."""
    changelog = (release.root / "CHANGELOG.md").read_text(encoding="utf-8")
    errors = []
    if tag != f"v{release.version}":
        errors.append(f"the tag is {tag}, and memroll's version is {release.version}: tag v{release.version}")
    if release.app_version != release.version:
        errors.append(f"Chart.yaml has appVersion {release.app_version}, and memroll's version is {release.version}")
    if f"\n## [{release.version}]" not in changelog:
        errors.append(f"CHANGELOG.md has no section [{release.version}]: rename [Unreleased]")
    if changed := git(release.root, "status", "--porcelain"):
        errors.append(f"the checkout has changes that are not committed: {changed.splitlines()[0].strip()}")
    return errors
