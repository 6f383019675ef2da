"""Builds actionlint, which checks the workflow files, in the cache of the local cluster.

`make test` runs it before the tests, which only look for the program. Its `go.mod` pins the version.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from localcluster import go_build
from localcluster.cache import Cache
from localcluster.paths import ClusterPaths

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent / "actionlint"
PROGRAM = go_build.Program(
    "actionlint",
    "github.com/rhysd/actionlint/cmd/actionlint",
    "github.com/rhysd/actionlint",
    {"github.com/rhysd/actionlint.version": "{number}"},
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
    return Cache(paths.cache), go_build.cache_key(PROGRAM, FOLDER, go_build.compiler_version(paths.source))


def _compile(output: Path) -> None:
    go_build.compile_program(PROGRAM, (FOLDER / "go.mod").read_text(), FOLDER, output)


if __name__ == "__main__":
    print(build(os.environ))  # noqa: T201 - command-line output
