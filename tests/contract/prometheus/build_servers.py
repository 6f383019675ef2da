"""Builds the servers for which Debian has no package, or only an old one, in the cache of the local cluster.

`make test` runs it before the tests, which only look for the programs. The `go.mod` of a folder here pins each server.
Prometheus 3 is built without the web UI and service discovery: the tests need neither, and both take long.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster import go_build
from localcluster.cache import Cache, hash_parts
from localcluster.paths import ClusterPaths
from localcluster.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
FLAGS = ("-trimpath", "-mod=readonly", "-buildvcs=false")


@dataclass(frozen=True)
class Server:
    """Server built from the Go module in the folder of its program's name."""

    program: go_build.Program
    flags: tuple[str, ...] = FLAGS

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def folder(self) -> Path:
        return HERE / self.name


PROMETHEUS_3 = Server(
    go_build.Program(
        "prometheus3",
        "github.com/prometheus/prometheus/cmd/prometheus",
        "github.com/prometheus/prometheus",
        {"github.com/prometheus/common/version.Version": "{version}"},
    ),
    (*FLAGS, "-tags=remove_all_sd"),
)
VICTORIA_METRICS = Server(
    go_build.Program(
        "victoriametrics",
        "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics",
        "github.com/VictoriaMetrics/VictoriaMetrics",
        {"github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version": "{version}"},
    )
)
SERVERS = (PROMETHEUS_3, VICTORIA_METRICS)


def find(server: Server, environment: Mapping[str, str]) -> Path | None:
    """Return the program, or None if it is not built."""
    if shutil.which("go") is None:
        return None
    cache, key = _cache_entry(server, environment)
    entry = cache.path(server.name, key)
    return entry / server.name if entry.exists() else None


def build(server: Server, environment: Mapping[str, str]) -> Path:
    cache, key = _cache_entry(server, environment)
    entry = cache.find(server.name, key) or cache.make(server.name, key, lambda output: _compile(server, output))
    return entry / server.name


def _cache_entry(server: Server, environment: Mapping[str, str]) -> tuple[Cache, str]:
    paths = ClusterPaths.from_environment(environment, Path.home())
    compiler = go_build.compiler_version(paths.source)
    return Cache(paths.cache), hash_parts([go_build.cache_key(server.program, server.folder, compiler), *server.flags])


def _compile(server: Server, output: Path) -> None:
    linked = go_build.link_flags(server.program, (server.folder / "go.mod").read_text())
    command: list[str | Path] = ["go", "build", *server.flags, "-ldflags", linked, "-o", output / server.name]
    run(
        [*command, server.program.package],
        cwd=server.folder,
        env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
    )


if __name__ == "__main__":
    for each in SERVERS:
        print(build(each, os.environ))  # noqa: T201 - command-line output
