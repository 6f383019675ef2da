"""Prepares packages, programs and images before the cluster starts, concurrently. Called by up."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster import base_image, debian, go_build
from localcluster.cache import Cache
from localcluster.paths import ClusterPaths
from localcluster.progress import Reporter
from localcluster.run import interrupt


@dataclass(frozen=True)
class PreparedParts:
    programs: dict[str, Path]
    pause_archive: Path
    base_archive: Path


def prepare(paths: ClusterPaths, report: Reporter) -> PreparedParts:
    for path in Cache(paths.cache).remove_unfinished():
        report(f"removed remains of a killed run: {path}")
    with ThreadPoolExecutor(2) as pool:
        programs = pool.submit(go_build.build_all, paths, report)
        base = pool.submit(_prepare_system, paths, report)
        _wait_all([programs, base])
    pause = base_image.ensure_pause(paths, programs.result()["pause"])
    return PreparedParts(programs.result(), pause, base.result())


def _prepare_system(paths: ClusterPaths, report: Reporter) -> Path:
    debian.install_missing(report, paths.build_logs / "apt.log")
    return base_image.ensure_base(paths, report)


def _wait_all(futures: Sequence[Future[Any]]) -> None:
    """Wait for all futures. If one fails, interrupt the others and raise its error."""
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    except BaseException:
        interrupt()
        raise
    failed = [future for future in futures if future.done() and future.exception() is not None]
    if failed:
        interrupt()
        failed[0].result()
