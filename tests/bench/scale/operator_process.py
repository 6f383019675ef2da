"""The operator as a process of this working copy, if required within a control group of limited memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.bench.scale.fleet import MIB
from tests.bench.scale.processes import stop

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
VALUES = ROOT / "deploy/helm/memroll/values.yaml"
IMAGE = ROOT / "deploy/image/Dockerfile"
GROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
"""Folders of the memory controller: version 1, version 2."""
LIMIT_FILES = ("memory.limit_in_bytes", "memory.max")
UNITS = {"Ki": 1024, "Mi": MIB, "Gi": 1024 * MIB}


@dataclass(frozen=True)
class Servers:
    """Addresses that the operator is given, and the port of its own HTTP server."""

    api_url: str
    prometheus_url: str
    http_port: int


def chart_limit_bytes(values: str) -> int:
    """Return the memory limit of the chart's default values."""
    text = str(yaml.safe_load(values)["resources"]["limits"]["memory"])
    return int(text[:-2]) * UNITS[text[-2:]]


def allocator_settings(dockerfile: str) -> dict[str, str]:
    """Return the environment variables of the image that configure malloc: they decide on the resident memory."""
    return dict(re.findall(r"^\s+(MALLOC_\w+)=(\S+)", dockerfile, re.MULTILINE))


def limit_bytes(memory: str) -> int | None:
    """Return the memory limit of the operator in bytes, from the argument; None for no limit."""
    if memory == "none":
        return None
    return chart_limit_bytes(VALUES.read_text()) if memory == "chart" else int(memory) * MIB


@contextmanager
def started(servers: Servers, folder: Path, limit: int | None) -> Iterator[subprocess.Popen[bytes]]:
    environment = _environment(servers, folder)
    with _group(limit) as group, (folder / "operator.log").open("wb") as log:
        process = subprocess.Popen(
            [*_enter(group), sys.executable, "-m", "memroll", "operator"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            stop(process)


def _environment(servers: Servers, folder: Path) -> dict[str, str]:
    config, connections = folder / "kubeconfig", folder / "connections.yaml"
    config.write_text(yaml.safe_dump(kubeconfig(servers.api_url)))
    connections.write_text(yaml.safe_dump({"connections": {"default": {"url": servers.prometheus_url}}}))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(config),
        "MEMROLL_CONNECTIONS_FILE": str(connections),
        "MEMROLL_HTTP_HOST": "127.0.0.1",
        "MEMROLL_HTTP_PORT": str(servers.http_port),
        "MEMROLL_IDENTITY": "memroll-bench",
        "MEMROLL_LOG_FORMAT": "text",
        **allocator_settings(IMAGE.read_text()),
    }


def kubeconfig(url: str) -> dict[str, object]:
    context = {"cluster": "bench", "user": "bench"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {"server": url}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": context}],
        "current-context": "bench",
    }


def _enter(group: Path | None) -> list[str]:
    """Return a command that enters the group before it becomes the operator: no byte is counted elsewhere."""
    if group is None:
        return []
    return ["/bin/sh", "-c", f'echo $$ > {group / "cgroup.procs"} && exec "$@"', "sh"]


@contextmanager
def _group(limit: int | None) -> Iterator[Path | None]:
    """Create a control group with this memory limit, and remove it at the end."""
    if limit is None:
        yield None
        return
    for parent, file in zip(GROUPS, LIMIT_FILES, strict=True):
        group = parent / f"memroll-bench-{os.getpid()}"
        if not (parent / "cgroup.procs").exists():
            continue
        group.mkdir()
        try:
            (group / file).write_text(str(limit))
            yield group
        finally:
            with suppress(OSError):
                group.rmdir()
        return
    raise RuntimeError("no memory controller below /sys/fs/cgroup: run with MEMORY=none")
