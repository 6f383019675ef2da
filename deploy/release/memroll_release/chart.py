"""The packaged chart: checked and packed by Helm, and packed again with the time of the commit."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from localcluster import go_build
from localcluster.paths import ClusterPaths
from memroll_release.release import CHART, ReleaseError
from memroll_release.run import run
from memroll_release.tar_files import read_tar_gz, write_tar_gz

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll_release.release import Release

PATTERNS = ("memroll-*.tgz",)
DEFAULT_REPOSITORY = "  repository: memroll\n"
"""Line of values.yaml that is replaced by the published repository."""
REQUIRED_FOLDERS = ("templates", "files")
RENDER_OPTIONS = ("--kube-version", "1.30.0", "--set", "prometheus.connections.default.url=http://prometheus:9090")


def find_helm(environment: Mapping[str, str]) -> str:
    """Return Helm's path: $HELM, the one on the PATH, or that of the local cluster; empty if there is none."""
    found = environment.get("HELM") or shutil.which("helm")
    if found:
        return found
    entry = go_build.find_all(ClusterPaths.from_environment(environment, Path.home())).get("helm")
    return str(entry / "helm") if entry is not None else ""


def find_missing(_release: Release) -> str:
    if find_helm(os.environ):
        return ""
    return "there is no helm: put it on the PATH, set HELM, or run `make cluster-up`, which builds it"


def build_chart(release: Release, folder: Path) -> None:
    helm, packed = find_helm(os.environ), folder / f"memroll-{release.chart_version}.tgz"
    with tempfile.TemporaryDirectory() as copied:
        source = Path(copied) / "memroll"
        shutil.copytree(release.root / CHART, source)
        _set_repository(source / "values.yaml", release.options.image)
        run([helm, "package", source, "--destination", folder], cwd=release.root, environment=release.environment)
    write_tar_gz(packed, read_tar_gz(packed), release.epoch_s, frozenset())
    check_chart(packed, release)
    command = [helm, "template", "memroll", packed, "--namespace", "memroll-system", *RENDER_OPTIONS]
    run(command, cwd=release.root, environment=release.environment)


def check_chart(packed: Path, release: Release) -> None:
    contents = read_tar_gz(packed)
    chart = yaml.safe_load(contents["memroll/Chart.yaml"])
    versions = chart["version"], chart["appVersion"]
    if versions != (release.chart_version, release.version):
        raise ReleaseError(
            f"{packed.name} has the versions {versions}, not {(release.chart_version, release.version)}: "
            "set appVersion in Chart.yaml to the version of memroll"
        )
    paths = (
        path for folder in REQUIRED_FOLDERS for path in (release.root / CHART / folder).rglob("*") if path.is_file()
    )
    names = {path.relative_to(release.root / CHART.parent).as_posix() for path in paths}
    missing = {*names, "memroll/values.yaml", "memroll/values.schema.json", "memroll/README.md"} - contents.keys()
    if missing:
        raise ReleaseError(f"{packed.name} lacks {', '.join(sorted(missing))}")


def _set_repository(values: Path, image: str) -> None:
    """Make a repository the default of the chart's values; the comments stay."""
    if not image:
        return
    text = values.read_text(encoding="utf-8")
    if text.count(DEFAULT_REPOSITORY) != 1:
        raise ReleaseError(f"values.yaml does not have the line `{DEFAULT_REPOSITORY.strip()}` once")
    values.write_text(text.replace(DEFAULT_REPOSITORY, f"  repository: {image}\n"), encoding="utf-8")
