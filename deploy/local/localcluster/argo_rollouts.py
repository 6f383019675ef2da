"""Builds Argo Rollouts, the controller of the kind Rollout, and creates its CRDs. An optional component.

Called by `build argo-rollouts` and `start argo-rollouts`. The pinned module contains the source and the CRDs.
"""

import json
import shutil
from pathlib import Path

import yaml

from localcluster import files, go_build, supervisor
from localcluster.api import ApiClient
from localcluster.cache import Cache
from localcluster.errors import ClusterError, CommandFailedError
from localcluster.lock import exclusive
from localcluster.paths import ClusterPaths
from localcluster.progress import Reporter
from localcluster.run import run

PROGRAM = go_build.Program(
    "argo-rollouts",
    "./cmd/rollouts-controller",
    "github.com/argoproj/argo-rollouts",
    {"github.com/argoproj/argo-rollouts/utils/version.version": "{number}"},
)
_CRDS = "crds"
_CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def build(paths: ClusterPaths, report: Reporter) -> Path:
    """Return the cache folder with the controller and its CRDs; build it if it is missing."""
    with exclusive(paths.cache / f"{PROGRAM.name}.lock", report):
        folder = paths.source / PROGRAM.name
        compiler = go_build.compiler_version(paths.source)
        cache, key = Cache(paths.cache), go_build.cache_key(PROGRAM, folder, compiler)
        entry = cache.find(PROGRAM.name, key)
        if entry is None:
            report(f"building {PROGRAM.name} with {compiler}")
            entry = cache.make(PROGRAM.name, key, lambda output: _compile(folder, output))
            report(f"built {PROGRAM.name}")
        return entry


def install(paths: ClusterPaths, report: Reporter) -> None:
    """Link the controller to where its component starts it, and create its CRDs, without which it waits."""
    if supervisor.find_running(paths, "kube-apiserver") is None:
        raise ClusterError("the cluster is not running", "run `up` first")
    entry = build(paths, report)
    files.link(paths.bin / PROGRAM.name, entry / PROGRAM.name)
    api = ApiClient(paths)
    for file in sorted((entry / _CRDS).iterdir()):
        api.create(_CRD_PATH, yaml.safe_load(file.read_text()))


def _compile(folder: Path, output: Path) -> None:
    try:
        source = _download(folder)
        go_build.compile_program(PROGRAM, (folder / "go.mod").read_text(), source, output)
    except CommandFailedError as error:
        raise ClusterError(f"building {PROGRAM.name} failed: {error}", "see the lines above") from error
    (output / _CRDS).mkdir()
    for file in (source / "manifests" / _CRDS).glob("*-crd.yaml"):
        shutil.copyfile(file, output / _CRDS / file.name)


def _download(folder: Path) -> Path:
    """Return the folder of the module's source; its hash must be the pinned one."""
    version = go_build.pinned_version((folder / "go.mod").read_text(), PROGRAM.module)
    command = ["go", "mod", "download", "-json", f"{PROGRAM.module}@{version}"]
    found = json.loads(run(command, cwd=folder, env=go_build.ENVIRONMENT))
    if f"{PROGRAM.module} {version} {found['Sum']}" not in (folder / "go.sum").read_text().splitlines():
        raise ClusterError(
            f"go.sum does not have the hash {found['Sum']} of {PROGRAM.module} {version}", "compare them"
        )
    return Path(found["Dir"])
