"""`memroll report`: read policies and PodRolls, and write what leaks."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from memroll import clock
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.clients.kube.api_client import Api
from memroll.clients.kube.cluster import Cluster
from memroll.clients.kube.kubeconfig import current_namespace
from memroll.errors import MemrollError, Stalled
from memroll.report import html, text
from memroll.report.leaks import leaks

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from memroll.report.leaks import Leaks

    Read = tuple[list[MemoryPolicy], list[PodRoll]]

T = TypeVar("T")

UNUSABLE = 2
WRITERS: dict[str, Callable[[Leaks], str]] = {"table": text.to_text, "json": text.to_json, "html": html.page}


def command(arguments: argparse.Namespace) -> int:
    """Return 0, 1 when the cluster can't be read, 2 for what can't be used as it was given."""
    try:
        _check(arguments.write)
        namespace = "" if arguments.all_namespaces else arguments.namespace or current_namespace()
        policies, rolls = asyncio.run(_read(namespace))
        found = leaks(policies, rolls, clock.now(), timedelta(seconds=arguments.since))
        _write(WRITERS[_format(arguments)](found), arguments.write)
    except MemrollError as error:
        print(f"memroll report: {error.message}", file=sys.stderr)
        return UNUSABLE if error.reason == "ReportInvalid" else 1
    return 0


def _format(arguments: argparse.Namespace) -> str:
    """Return what was asked for, else what the file's name says."""
    suffix = arguments.write.suffix[1:] if arguments.write else ""
    return str(arguments.output or (suffix if suffix in WRITERS else "table"))


def _check(file: Path | None) -> None:
    """Refuse, before anything is read, what can't be written in the end."""
    if file is not None and (not file.parent.is_dir() or file.is_dir()):
        raise Stalled("ReportInvalid", f"--write {file}: must be a file in a folder that exists")


def _write(content: str, file: Path | None) -> None:
    if file is None:
        print(content)
        return
    try:
        file.write_text(f"{content}\n", encoding="utf-8")
    except OSError as error:
        raise Stalled("ReportInvalid", f"--write {file}: {error.strerror}") from error


async def _read(namespace: str) -> Read:
    """Read both kinds; what can't be read of them is counted on standard error."""
    api = await Api.connect()
    try:
        cluster = Cluster(api)
        policies, rolls = await cluster.policies((namespace,)), await cluster.rolls(namespace)
    finally:
        await api.close()
    return list(_readable("MemoryPolicies", policies, MemoryPolicy.read)), list(
        _readable("PodRolls", rolls, PodRoll.read)
    )


def _readable(kind: str, raws: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    odd = 0
    for raw in raws:
        try:
            yield read(raw)
        except ValidationError:
            odd += 1
    if odd:
        print(f"memroll report: {odd} {kind} can't be read and are left out", file=sys.stderr)
