"""Builds Prometheus 3, for which Debian has no package, in the cache of the local cluster.

Without the web UI and service discovery: the tests need neither, and both take long to build.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster import go_build
from localcluster.cache import Cache, hash_parts
from localcluster.paths import ClusterPaths
from localcluster.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent / "prometheus3"
FLAGS = ("-trimpath", "-mod=readonly", "-buildvcs=false", "-tags=remove_all_sd")
PROGRAM = go_build.Program(
    "prometheus3",
    "github.com/prometheus/prometheus/cmd/prometheus",
    "github.com/prometheus/prometheus",
    {"github.com/prometheus/common/version.Version": "{version}"},
)


def find(environment: Mapping[str, str]) -> Path | None:
    """Return the program, or None if it is not built."""
    if shutil.which("go") is None:
        return None
    cache, key = _cache_entry(environment)
    entry = cache.path(PROGRAM.name, key)
    return entry / PROGRAM.name if entry.exists() else None


def build(environment: Mapping[str, str]) -> Path:
    cache, key = _cache_entry(environment)
    entry = cache.find(PROGRAM.name, key) or cache.make(PROGRAM.name, key, _compile)
    return entry / PROGRAM.name


def _cache_entry(environment: Mapping[str, str]) -> tuple[Cache, str]:
    paths = ClusterPaths.from_environment(environment, Path.home())
    compiler = go_build.compiler_version(paths.source)
    return Cache(paths.cache), hash_parts([go_build.cache_key(PROGRAM, FOLDER, compiler), *FLAGS])


def _compile(output: Path) -> None:
    linked = go_build.link_flags(PROGRAM, (FOLDER / "go.mod").read_text())
    command: list[str | Path] = [
        "go",
        "build",
        *FLAGS,
        "-ldflags",
        linked,
        "-o",
        output / PROGRAM.name,
        PROGRAM.package,
    ]
    run(command, cwd=FOLDER, env={"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"})


if __name__ == "__main__":
    print(build(os.environ))  # noqa: T201 - command-line output
