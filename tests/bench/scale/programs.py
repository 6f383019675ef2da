"""Programs of the control plane and of Prometheus, each built once from its Go module, in the local cluster's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster import go_build
from localcluster.cache import Cache
from localcluster.paths import ClusterPaths
from localcluster.run import run
from tests.contract.prometheus import build_servers

if TYPE_CHECKING:
    from localcluster.progress import Reporter

HERE = Path(__file__).parent
ETCD = go_build.Program("etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3")
VPA = "k8s.io/autoscaler/vertical-pod-autoscaler"
RECOMMENDER = go_build.Program("vpa", f"{VPA}/pkg/recommender", VPA)
TSDB = go_build.Program("tsdb", ".", "github.com/prometheus/prometheus")


@dataclass(frozen=True)
class Programs:
    etcd: Path
    api_server: Path
    prometheus: Path
    tsdb: Path


def prepare(report: Reporter) -> Programs:
    """Return the programs; build those that the cache lacks or has with another content."""
    paths = ClusterPaths.from_environment(os.environ, Path.home())
    kubernetes = next(one for one in go_build.programs(paths.kubernetes) if one.name == paths.kubernetes.folder)
    return Programs(
        etcd=_build(ETCD, HERE / "etcd", paths, report) / "etcd",
        api_server=_build(kubernetes, paths.source / kubernetes.name, paths, report) / "kube-apiserver",
        prometheus=build_servers.build(build_servers.PROMETHEUS_3, os.environ),
        tsdb=_build(TSDB, HERE / "tsdb", paths, report) / "tsdb",
    )


def prepare_recommender(report: Reporter) -> tuple[Path, str]:
    """Return the recommender, and the definitions of its resources, which are a file of the same Go module."""
    paths = ClusterPaths.from_environment(os.environ, Path.home())
    program = _build(RECOMMENDER, HERE / "vpa", paths, report) / RECOMMENDER.name
    command = ["go", "list", "-m", "-mod=readonly", "-f", "{{.Dir}}", VPA]
    module = Path(run(command, cwd=HERE / "vpa", env=go_build.ENVIRONMENT).strip())
    return program, (module / "deploy/vpa-v1-crd-gen.yaml").read_text()


def _build(program: go_build.Program, folder: Path, paths: ClusterPaths, report: Reporter) -> Path:
    cache = Cache(paths.cache)
    key = go_build.cache_key(program, folder, go_build.compiler_version(paths.source))
    entry = cache.find(program.name, key)
    if entry is None:
        report(f"building {program.name}")
        entry = cache.make(program.name, key, lambda output: _compile(program, folder, output))
    return entry


def _compile(program: go_build.Program, folder: Path, output: Path) -> None:
    go_build.compile_program(program, (folder / "go.mod").read_text(), folder, output)
    for link in program.links:
        (output / link).symlink_to(program.name)
