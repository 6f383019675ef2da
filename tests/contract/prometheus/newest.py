"""Builds a Prometheus 3, which Debian has no package of, and keeps it beside the local cluster's programs.

Without its web pages and without service discovery: neither is asked for here, and both take long to build.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster import golang
from localcluster.cache import Cache, hash_parts
from localcluster.layout import Layout
from localcluster.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent / "prometheus3"
FLAGS = ("-trimpath", "-mod=readonly", "-buildvcs=false", "-tags=remove_all_sd")
PROGRAM = golang.Program(
    "prometheus3",
    "github.com/prometheus/prometheus/cmd/prometheus",
    "github.com/prometheus/prometheus",
    {"github.com/prometheus/common/version.Version": "{version}"},
)


def find(environment: Mapping[str, str]) -> Path | None:
    """Return the program, or None where it is not built."""
    if shutil.which("go") is None:
        return None
    cache, key = _place(environment)
    entry = cache.path(PROGRAM.name, key)
    return entry / PROGRAM.name if entry.exists() else None


def build(environment: Mapping[str, str]) -> Path:
    cache, key = _place(environment)
    entry = cache.find(PROGRAM.name, key) or cache.make(PROGRAM.name, key, _compile)
    return entry / PROGRAM.name


def _place(environment: Mapping[str, str]) -> tuple[Cache, str]:
    layout = Layout.from_environment(environment, Path.home())
    compiler = golang.compiler_version(layout.source)
    return Cache(layout.cache), hash_parts([golang.key(PROGRAM, FOLDER, compiler), *FLAGS])


def _compile(output: Path) -> None:
    linked = golang.link_flags(PROGRAM, (FOLDER / "go.mod").read_text())
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
    print(build(os.environ))  # noqa: T201 - what a person or make asked for
