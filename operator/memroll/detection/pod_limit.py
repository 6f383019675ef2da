"""Memory limit of a container in a pod that has a limit of its own (`spec.resources`). Pure.

The kernel counts the memory of all containers against a pod-level limit. So each container can use what the others
leave; the distance to its limit is then that of the whole pod.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from memroll.detection.samples import PrefilterResult
    from memroll.model.pods import Container, Pod


def with_shared_limits(pods: Iterable[Pod], usage: PrefilterResult) -> tuple[Pod, ...]:
    """Return the pods; in one with a limit of its own, each container's limit is at most what the others leave."""
    return tuple(pod if pod.limit_bytes is None else _with_shared_limit(pod, pod.limit_bytes, usage) for pod in pods)


def _with_shared_limit(pod: Pod, limit_bytes: int, usage: PrefilterResult) -> Pod:
    used = [_working_set_bytes(pod, c, usage) for c in pod.containers]
    total = sum(used)
    containers = (
        replace(c, limit_bytes=max(1, min(c.limit_bytes or limit_bytes, int(limit_bytes - (total - own)))))
        for c, own in zip(pod.containers, used, strict=True)
    )
    return replace(pod, containers=tuple(containers))


def _working_set_bytes(pod: Pod, container: Container, usage: PrefilterResult) -> float:
    """Return the working set of a container; 0 if it is not running or has no samples."""
    if not container.id or container.started_at is None:
        return 0.0
    row = usage.row_for(pod.key.name, container.name, container.id, container.started_at.timestamp())
    return (row.working_set_bytes if row is not None else None) or 0.0
