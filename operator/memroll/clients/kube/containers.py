"""Containers of a pod: raw JSON of its spec and status in, frozen `Container` values out. Pure.

Decoding never raises: a field of an unexpected type reads as empty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kubernetes.utils.quantity import parse_quantity

from memroll.api.evidence import MAX_NUMBER
from memroll.clients.kube.json_access import get_count, get_dict, get_dicts, get_int, get_str, get_time
from memroll.model.pods import UNLIMITED_BYTES, Container, ContainerExit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memroll.clients.kube.api_client import Json

_FAILED = "Error"
"""Reason of the kubelet for a container whose process ended with an error; others are OOMKilled and Completed."""
_STOPPED_FROM_OUTSIDE = (0, 143, 255)
"""Exit codes of a process that ended without an error, by SIGTERM, or unknown to the runtime after a reboot."""
_QUANTITY = re.compile(r"[0-9]{1,20}(\.[0-9]{0,9})?([KMGTPE]i|[mkMGTPE]|[eE][+-]?[0-9]{1,2})?", re.ASCII)


def long_running(raw: Json) -> list[Json]:
    """Return the containers that run as long as the pod: with native sidecars, without other init containers."""
    sidecars = [c for c in get_dicts(raw, "spec", "initContainers") if get_str(c, "restartPolicy") == "Always"]
    return get_dicts(raw, "spec", "containers") + sidecars


def container_statuses(raw: Json) -> list[Json]:
    return get_dicts(raw, "status", "containerStatuses") + get_dicts(raw, "status", "initContainerStatuses")


def decode_containers(raw: Json, pod_limit_bytes: int | None) -> tuple[Container, ...]:
    """Decode the containers of a pod, which has this memory limit."""
    statuses = {get_str(status, "name"): status for status in container_statuses(raw)}
    declared = [c for c in long_running(raw) if get_str(c, "name")]
    return tuple(_container(c, statuses.get(get_str(c, "name"), {}), pod_limit_bytes) for c in declared)


def limit_bytes_of(*sources: Json) -> int | None:
    """Return the first memory limit of these objects; None without one, and for 0, which the kubelet ignores.

    A status may contain the largest number that the kernel can write, as that of a pod without a limit on Kubernetes
    1.37: it is no limit.
    """
    limits = (parse_memory(get_dict(source, "resources", "limits").get("memory")) for source in sources)
    return next((size for size in limits if size is not None and size < UNLIMITED_BYTES), None) or None


def _container(declared: Json, status: Json, pod_limit_bytes: int | None) -> Container:
    running = get_dict(status, "state", "running")
    limits = (limit_bytes_of(status, declared), pod_limit_bytes)
    runtime_id = get_str(status, "containerID")
    return Container(
        name=get_str(declared, "name"),
        id=runtime_id.rpartition("://")[2] if running else "",
        limit_bytes=min((size for size in limits if size is not None), default=None),
        started_at=get_time(running, "startedAt"),
        restarts=get_count(status, "restartCount"),
        oom_killed_at=max(_oom_kill_times(status), default=None),
        last_exit=_last_exit(status),
        image=_image(declared, status),
        ports=tuple(
            get_count(port, "containerPort")
            for port in get_dicts(declared, "ports")
            if get_str(port, "protocol") in ("", "TCP") and get_count(port, "containerPort")
        ),
    )


def _image(declared: Json, status: Json) -> str:
    """Return the running image; if the runtime reports only a digest, the image of the spec."""
    running = get_str(status, "image")
    return get_str(declared, "image") if not running or running.startswith("sha256:") else running


def _last_exit(status: Json) -> ContainerExit | None:
    """Return the exit of the previous instance if the process itself may have caused it.

    An OOM kill is no such exit, and neither is a process that ended without an error, by SIGTERM, or with its node.
    """
    ended = get_dict(status, "lastState", "terminated")
    started_at, finished_at = get_time(ended, "startedAt"), get_time(ended, "finishedAt")
    if get_str(ended, "reason") != _FAILED or get_int(ended, "exitCode") in _STOPPED_FROM_OUTSIDE:
        return None
    if started_at is None or finished_at is None or finished_at <= started_at:
        return None
    return ContainerExit(get_str(ended, "containerID").rpartition("://")[2], started_at, finished_at)


def _oom_kill_times(status: Json) -> Iterable[datetime]:
    for state in ("lastState", "state"):
        terminated = get_dict(status, state, "terminated")
        finished_at = get_time(terminated, "finishedAt")
        if get_str(terminated, "reason") == "OOMKilled" and finished_at:
            yield finished_at


def parse_memory(value: object) -> int | None:
    """Parse a memory quantity to bytes; None for anything else.

    The client's own parser also accepts digits of other scripts, "Infinity", and exponents that exhaust memory.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value <= MAX_NUMBER else None
    text = value if isinstance(value, str) else ""
    return min(int(parse_quantity(text)), MAX_NUMBER) if _QUANTITY.fullmatch(text) else None
