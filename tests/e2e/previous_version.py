"""The last commit whose chart has a lower version: what users upgrade from."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

CHART_FILE = "deploy/helm/memroll/Chart.yaml"


class HistoryMissingError(Exception):
    """The working copy has no history, or not enough of it; the message is a reason to skip."""


def chart_version(text: str) -> tuple[int, ...]:
    """Return the version in a Chart.yaml, without a pre-release."""
    return tuple(int(part) for part in str(yaml.safe_load(text)["version"]).partition("-")[0].split("."))


def find_previous(root: Path) -> str:
    """Return the commit. Raise HistoryMissingError without history, LookupError if the history has no such commit."""
    if not (root / ".git").exists():
        raise HistoryMissingError("this is no clone of the repository: there is no older version to upgrade from")
    present = chart_version((root / CHART_FILE).read_text(encoding="utf-8"))
    newer = ""
    for commit in run_git(root, "log", "--first-parent", "--format=%H", "--", CHART_FILE).split():
        if chart_version(run_git(root, "show", f"{commit}:{CHART_FILE}")) < present:
            return run_git(root, "rev-parse", f"{newer}^" if newer else "HEAD").strip()
        newer = commit
    if run_git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise HistoryMissingError("a shallow clone has no older version to upgrade from: git fetch --unshallow")
    raise LookupError(f"no commit has a lower version than {present} in {CHART_FILE}: raise it")


def check_out(root: Path, commit: str, folder: Path) -> Path:
    """Write the tree of a commit into a folder; the repository is not changed."""
    packed = subprocess.run(_git(root, "archive", commit), capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def run_git(root: Path, *arguments: str) -> str:
    done = subprocess.run(_git(root, *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _git(root: Path, *arguments: str) -> list[str]:
    # The owner of a checkout in continuous integration is often not the user who runs the tests.
    return ["git", "-c", "safe.directory=*", "-C", str(root), *arguments]
