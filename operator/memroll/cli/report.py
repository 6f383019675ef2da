"""Command `memroll report`: read policies and PodRolls, and write a report of the leaks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memroll import clock
from memroll.api.decode import decode_valid
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.cli import errors
from memroll.cli.command import ClusterOptions, PeriodSeconds, cluster_options, namespace_options, output_option
from memroll.cli.command import command as define
from memroll.cli.connection import default_namespace, open_cluster
from memroll.cli.time_zone import time_zone_option
from memroll.errors import TerminalError
from memroll.report import html, text
from memroll.report.leaks import build_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from memroll.pages.times import PageClock
    from memroll.report.leaks import LeakReport

    PoliciesAndRolls = tuple[list[MemoryPolicy], list[PodRoll]]

T = TypeVar("T")

WRITERS: dict[str, Callable[[LeakReport], str]] = {
    "table": text.to_text,
    "json": text.to_json,
    "yaml": text.to_yaml,
    "csv": text.to_csv,
}
FORMATS = (*WRITERS, "html")
SUFFIXES = {"html": "html", "htm": "html", "json": "json", "yaml": "yaml", "csv": "csv", "txt": "table", "": "table"}
"""Output format by the suffix of a file's name."""


@define(
    "report",
    examples=["report -n ai", "report -A -o json", "report -n ai --since 7d --write leaks.html"],
)
@namespace_options
@click.option("--since", type=PeriodSeconds(), metavar="30d", default="30d", help="leaks of this time (default: 30d)")
@output_option(*FORMATS, default=None)
@click.option("--write", type=click.Path(path_type=Path), metavar="FILE", help="write to FILE instead of the terminal")
@time_zone_option
@cluster_options
def command(
    namespace: str | None,
    since: float,
    output: str | None,
    write: Path | None,
    page_clock: PageClock,
    cluster: ClusterOptions,
) -> None:
    """Write a report of all leaks: the policies' ledgers and the evidence of their rolls."""
    _check(write)
    written = output or _format_of(write)
    namespace = default_namespace(cluster) if namespace is None else namespace
    policies, rolls = asyncio.run(_read(cluster, namespace))
    found = build_report(policies, rolls, clock.now(), timedelta(seconds=since))
    _write(html.render_page(found, page_clock) if written == "html" else WRITERS[written](found), write)


def _format_of(file: Path | None) -> str:
    """Return the output format by the file's suffix; a table without a file."""
    suffix = file.suffix[1:].lower() if file else ""
    if suffix not in SUFFIXES:
        allowed = ", ".join(f".{known}" for known in SUFFIXES if known)
        raise errors.InvalidArgumentError(f"--write {file}: the format of .{suffix} is not known: use {allowed}, or -o")
    return SUFFIXES[suffix]


def _check(file: Path | None) -> None:
    """Raise TerminalError for a file that can't be written, before anything is read."""
    if file is not None and (not file.parent.is_dir() or file.is_dir()):
        raise TerminalError("ReportInvalid", f"--write {file}: must be a file in a folder that exists")


def _write(content: str, file: Path | None) -> None:
    if file is None:
        click.echo(content)
        return
    try:
        file.write_text(f"{content}\n", encoding="utf-8")
    except OSError as error:
        raise TerminalError("ReportInvalid", f"--write {file}: {error.strerror}") from error


async def _read(options: ClusterOptions, namespace: str) -> PoliciesAndRolls:
    """Read policies and PodRolls; print the number of invalid objects to standard error."""
    async with open_cluster(options) as cluster:
        policies, rolls = await cluster.list_policies((namespace,)), await cluster.list_rolls(namespace)
    return _parse_valid("MemoryPolicies", policies, MemoryPolicy.read), _parse_valid("PodRolls", rolls, PodRoll.read)


def _parse_valid(kind: str, raws: Iterable[dict[str, Any]], parse: Callable[[dict[str, Any]], T]) -> list[T]:
    invalid: list[dict[str, Any]] = []
    valid = list(decode_valid(raws, parse, invalid.append))
    if invalid:
        errors.warn(f"skipped invalid {kind}: {len(invalid)}")
    return valid
