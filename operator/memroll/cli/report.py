"""`memroll report`: reads policies and PodRolls, and writes a report of the leaks."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from memroll import clock
from memroll.api.decode import decode_valid
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.cli import USAGE_ERROR
from memroll.clients.kube.api_client import KubeApi
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.kubeconfig import current_namespace
from memroll.errors import MemrollError, TerminalError
from memroll.report import html, text
from memroll.report.leaks import build_report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from memroll.report.leaks import LeakReport

    PoliciesAndRolls = tuple[list[MemoryPolicy], list[PodRoll]]

T = TypeVar("T")

WRITERS: dict[str, Callable[[LeakReport], str]] = {
    "table": text.to_text,
    "json": text.to_json,
    "html": html.render_page,
}


def command(arguments: argparse.Namespace) -> int:
    """Write the report. Return 0, 1 if the cluster can't be read, or 2 for invalid arguments."""
    try:
        _check(arguments.write)
        namespace = "" if arguments.all_namespaces else arguments.namespace or current_namespace()
        policies, rolls = asyncio.run(_read(namespace))
        found = build_report(policies, rolls, clock.now(), timedelta(seconds=arguments.since))
        _write(WRITERS[_format(arguments)](found), arguments.write)
    except MemrollError as error:
        print(f"memroll report: {error.message}", file=sys.stderr)
        return USAGE_ERROR if error.reason == "ReportInvalid" else 1
    return 0


def _format(arguments: argparse.Namespace) -> str:
    """Return the output format: the argument, else the file's suffix, else a table."""
    suffix = arguments.write.suffix[1:] if arguments.write else ""
    return str(arguments.output or (suffix if suffix in WRITERS else "table"))


def _check(file: Path | None) -> None:
    """Raise TerminalError for a file that can't be written, before anything is read."""
    if file is not None and (not file.parent.is_dir() or file.is_dir()):
        raise TerminalError("ReportInvalid", f"--write {file}: must be a file in a folder that exists")


def _write(content: str, file: Path | None) -> None:
    if file is None:
        print(content)
        return
    try:
        file.write_text(f"{content}\n", encoding="utf-8")
    except OSError as error:
        raise TerminalError("ReportInvalid", f"--write {file}: {error.strerror}") from error


async def _read(namespace: str) -> PoliciesAndRolls:
    """Read policies and PodRolls; print the number of invalid objects to standard error."""
    api = await KubeApi.connect()
    try:
        cluster = KubeCluster(api)
        policies, rolls = await cluster.list_policies((namespace,)), await cluster.list_rolls(namespace)
    finally:
        await api.close()
    return _parse_valid("MemoryPolicies", policies, MemoryPolicy.read), _parse_valid("PodRolls", rolls, PodRoll.read)


def _parse_valid(kind: str, raws: Iterable[dict[str, Any]], parse: Callable[[dict[str, Any]], T]) -> list[T]:
    invalid: list[dict[str, Any]] = []
    valid = list(decode_valid(raws, parse, invalid.append))
    if invalid:
        print(f"memroll report: skipped invalid {kind}: {len(invalid)}", file=sys.stderr)
    return valid
