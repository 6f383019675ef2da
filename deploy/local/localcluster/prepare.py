"""Everything that can be made before a cluster runs: packages, programs and images, side by side."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster import baseimage, debian, golang
from localcluster.cache import Cache
from localcluster.layout import Layout
from localcluster.report import Report
from localcluster.run import interrupt


@dataclass(frozen=True)
class Parts:
    programs: dict[str, Path]
    pause_archive: Path
    base_archive: Path


def prepare(layout: Layout, report: Report) -> Parts:
    for path in Cache(layout.cache).sweep():
        report(f"removed what a killed run left: {path}")
    with ThreadPoolExecutor(2) as pool:
        programs = pool.submit(golang.build_all, layout, report)
        base = pool.submit(_system, layout, report)
        _wait_all([programs, base])
    pause = baseimage.pause(layout, programs.result()["pause"])
    return Parts(programs.result(), pause, base.result())


def _system(layout: Layout, report: Report) -> Path:
    debian.install_missing(report, layout.build_logs / "apt.log")
    return baseimage.base(layout, report)


def _wait_all(futures: Sequence[Future[Any]]) -> None:
    """When one side fails, the other is not worth waiting for."""
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    except BaseException:
        interrupt()
        raise
    failed = [future for future in futures if future.done() and future.exception() is not None]
    if failed:
        interrupt()
        failed[0].result()
