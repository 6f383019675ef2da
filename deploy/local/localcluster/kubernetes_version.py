"""Kubernetes version of a cluster: the default, or one that MEMROLL_KUBERNETES selects. Used by paths and the driver.

Each version has a folder with a go.mod in deploy/local. The version of a cluster is recorded in its state folder, so
that commands without the variable use it, and no command changes a cluster of another version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster import files
from localcluster.errors import ClusterError

VARIABLE = "MEMROLL_KUBERNETES"
_DEFAULT_FOLDER = "kubernetes"


@dataclass(frozen=True, order=True)
class KubernetesVersion:
    """Minor version, such as 1.30. The patch version is pinned in the go.mod of its folder."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def folder(self) -> str:
        """Name of its folder in deploy/local, of its program and of its cache entries."""
        return _DEFAULT_FOLDER if self == DEFAULT else f"{_DEFAULT_FOLDER}-{self}"


DEFAULT = KubernetesVersion(1, 35)
"""Version pinned in deploy/local/kubernetes/go.mod."""


def parse(text: str) -> KubernetesVersion | None:
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", text.strip())
    return KubernetesVersion(int(found.group(1)), int(found.group(2))) if found else None


def available(source: Path) -> list[KubernetesVersion]:
    """Return the versions that have a folder, in ascending order."""
    suffixes = (path.parent.name.removeprefix(f"{_DEFAULT_FOLDER}-") for path in source.glob("kubernetes-*/go.mod"))
    return sorted({DEFAULT, *(version for suffix in suffixes if (version := parse(suffix)) is not None)})


def select(source: Path, state: Path, environment: Mapping[str, str]) -> KubernetesVersion:
    """Return the version of the existing cluster, or the requested one. Raise if these differ."""
    existing, text = read(state), environment.get(VARIABLE, "").strip()
    if not text:
        return existing or DEFAULT
    requested, versions = parse(text), available(source)
    if requested not in versions:
        known = ", ".join(map(str, versions))
        raise ClusterError(f"{VARIABLE}={text} is not a version of deploy/local", f"set it to one of {known}")
    if existing is not None and existing != requested:
        raise ClusterError(
            f"the cluster in {state} has Kubernetes {existing}, not {requested}",
            f"run `down` without {VARIABLE} first, or unset it to use that cluster",
        )
    return requested


def read(state: Path) -> KubernetesVersion | None:
    """Return the recorded version; None if there is no cluster, or one without a record."""
    try:
        return parse(_record(state).read_text())
    except OSError:
        return None


def write(state: Path, version: KubernetesVersion) -> None:
    files.write(_record(state), f"{version}\n")


def _record(state: Path) -> Path:
    return state / "kubernetes-version"
