"""Memory limit that counts for a container: the lowest of its own, that of the policy, and what its node has. Pure.

`reconcile.examine` applies it to the pods of each reconcile, and the backtest to each trace, so that everything that
measures a distance, a ratio or a threshold uses the same limit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memroll.model.pods import LoweredLimit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from memroll.api.memory_limit import MemoryLimit
    from memroll.api.policy import PolicySpec
    from memroll.model.pods import Pod

NODE = "allocatable memory of the node"
"""Source of a limit that is the node's."""
POLICY = "exhaustion.limit"
"""Source of a limit that is the policy's."""
NONE_KNOWN: Mapping[str, int] = {}


def effective_limit(
    limit: MemoryLimit | None, own_bytes: int | None, allocatable_bytes: int | None = None
) -> tuple[int | None, LoweredLimit | None]:
    """Return the limit that counts for a container with this limit of its own on this node, and its origin.

    `limit`: that of the policy. A percentage is that of the container's own limit, or of the node's allocatable memory
    where it has none. Without it, a container without a limit has none, whatever its node is.
    """
    found, origin = own_bytes, None
    if allocatable_bytes is not None and (own_bytes is None or allocatable_bytes < own_bytes):
        found, origin = allocatable_bytes, LoweredLimit(NODE, own_bytes)
    given = None if limit is None else limit.of(allocatable_bytes if own_bytes is None else own_bytes)
    if given is None:
        return (own_bytes, None) if own_bytes is None else (found, origin)
    if found is not None and found <= given:
        return found, origin
    return given, LoweredLimit(POLICY, own_bytes)


def with_effective_limits(
    pods: Iterable[Pod], spec: PolicySpec, allocatable_bytes: Mapping[str, int] = NONE_KNOWN
) -> tuple[Pod, ...]:
    """Return pods with the limits that count. `allocatable_bytes`: that of each known node, by name."""
    return tuple(_with_limits(p, spec, allocatable_bytes.get(p.node)) for p in pods)


def _with_limits(pod: Pod, spec: PolicySpec, allocatable_bytes: int | None) -> Pod:
    """Return a pod with the limits that count.

    A percentage of a limit that its containers share lowers that limit: the usage of the whole pod is compared with it.
    A quantity is a limit of each watched container alone.
    """
    given = spec.exhaustion.limit
    of_pod = given if given is not None and given.ratio is not None and pod.limit_bytes is not None else None
    containers = []
    for c in pod.containers:
        counts = not spec.containers or c.name in spec.containers
        shared = of_pod if c.limit_bytes == pod.limit_bytes else None
        limit, lowered = effective_limit(given if counts else shared, c.limit_bytes, allocatable_bytes)
        containers.append(c if lowered is None else replace(c, limit_bytes=limit, lowered=lowered))
    shared_bytes = pod.limit_bytes and effective_limit(of_pod, pod.limit_bytes, allocatable_bytes)[0]
    return replace(pod, containers=tuple(containers), limit_bytes=shared_bytes)
