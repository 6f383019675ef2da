"""Placement: nodes and pods of the cluster in, the reason why a second copy of a pod has no room out.

The observer calls it before strategy Auto releases a pod. Nodes and pods are listed only for a pod that
requests extended resources or has required anti-affinity. Where they can't be read, or are too many, nothing is
claimed: a surge is tried, and falls back to an eviction in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.containers import parse_memory
from memroll.clients.kube.json_access import get_bool, get_dict, get_dicts, get_str, get_str_dict
from memroll.clients.kube.pods import CORE
from memroll.errors import MemrollError
from memroll.model.placement import (
    AntiAffinityTerm,
    Neighbor,
    NodeState,
    NodeTerm,
    PlacedPod,
    PlacementNeeds,
    Requirement,
    SecondCopy,
    Taint,
    Toleration,
    missing_room_because,
)
from memroll.model.pods import ENDED_PHASES, RELEASED_HASH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.model.pods import Pod

logger = logging.getLogger(__name__)

MAX_NODES = 2_000
"""Maximum number of nodes that are compared. Chosen by hand: ten pages of a list."""
MAX_PODS = 10_000
"""Maximum number of pods that are compared. Chosen by hand: fifty pages of a list."""
MAX_READ_S = 10.0
"""Maximum seconds for reading all of them, so that a roll is not delayed for longer. Chosen by hand."""

_ON_NODES = "status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!="
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_KEEPS_AWAY = ("NoSchedule", "NoExecute")
_CORDONED = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


class KubePlacementReader:
    """Reads the nodes, and the pods of all namespaces."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def find_missing_room(self, pod: Pod, hash_label: str) -> str:
        """Return why a second copy of the pod can't be scheduled; empty if it can, or if that can't be read."""
        try:
            async with asyncio.timeout(MAX_READ_S):
                return await self._find(pod, hash_label)
        except (MemrollError, TimeoutError) as error:
            logger.debug("room for a second copy of pod %s is not known: %s", pod.key.name, error)
        except Exception:
            logger.exception("bug: comparing the nodes for pod %s/%s failed", pod.key.namespace, pod.key.name)
        return ""

    async def _find(self, pod: Pod, hash_label: str) -> str:
        if not pod.may_lack_room:
            return ""
        raw = await self._api.request("GET", build_path(CORE, pod.key.namespace, "pods", pod.key.name))
        needs, old = decode_needs(raw), decode_placed(raw)
        if old is None or not needs.are_restrictive:
            return ""
        copy = SecondCopy(old, needs, {**old.labels, hash_label: RELEASED_HASH})
        nodes = await self._list_nodes()
        neighbors = await self._list_neighbors(copy) if nodes is not None else None
        return "" if nodes is None or neighbors is None else missing_room_because(copy, nodes, neighbors)

    async def _list_nodes(self) -> list[NodeState] | None:
        """Return all nodes; None if they are too many."""
        nodes: list[NodeState] = []
        async for raw in self._api.list_items(build_path(CORE, plural="nodes")):
            if len(nodes) == MAX_NODES:
                return None
            nodes.append(decode_node(raw))
        return nodes

    async def _list_neighbors(self, copy: SecondCopy) -> list[Neighbor] | None:
        """Return the pods of all namespaces that take something away from the replacement; None if they are too many.

        Nothing of the other pods is kept.
        """
        neighbors, count = [], 0
        async for raw in self._api.list_items(build_path(CORE, plural="pods"), {"fieldSelector": _ON_NODES}):
            count += 1
            if count > MAX_PODS:
                return None
            placed = decode_placed(raw)
            neighbor = copy.neighbor(placed) if placed else None
            neighbors += [neighbor] if neighbor else []
        return neighbors


def decode_node(raw: Json) -> NodeState:
    taints = tuple(
        Taint(*(get_str(taint, field) for field in ("key", "value", "effect")))
        for taint in get_dicts(raw, "spec", "taints")
        if get_str(taint, "effect") in _KEEPS_AWAY
    )
    cordoned = (_CORDONED,) if get_bool(raw, "spec", "unschedulable") else ()
    allocatable = _extended(raw, "status", "allocatable")
    labels = get_str_dict(raw, "metadata", "labels")
    return NodeState(get_str(raw, "metadata", "name"), labels, allocatable, taints + cordoned)


def decode_placed(raw: Json) -> PlacedPod | None:
    """Decode a pod on a node; None for one that has no node or has ended."""
    node = get_str(raw, "spec", "nodeName")
    if not node or get_str(raw, "status", "phase") in ENDED_PHASES:
        return None
    return PlacedPod(
        uid=get_str(raw, "metadata", "uid"),
        namespace=get_str(raw, "metadata", "namespace"),
        node=node,
        labels=get_str_dict(raw, "metadata", "labels"),
        extended=extended_requests(raw),
        anti_affinity=tuple(_anti_affinity(raw)),
        is_terminating=bool(get_str(raw, "metadata", "deletionTimestamp")),
    )


def decode_needs(raw: Json) -> PlacementNeeds:
    """Decode what restricts the nodes of a pod."""
    node_terms = get_dicts(raw, "spec", "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms")
    return PlacementNeeds(
        extended=extended_requests(raw),
        anti_affinity=tuple(_anti_affinity(raw)),
        node_labels=get_str_dict(raw, "spec", "nodeSelector"),
        node_terms=tuple(
            NodeTerm(_requirements(term, "matchExpressions"), _requirements(term, "matchFields")) for term in node_terms
        ),
        tolerations=tuple(
            Toleration(*(get_str(toleration, field) for field in ("key", "operator", "value", "effect")))
            for toleration in get_dicts(raw, "spec", "tolerations")
        ),
    )


def extended_requests(raw: Json) -> dict[str, int]:
    """Return the extended resources that a pod requests: all of its containers, or its init containers if more."""
    running: Counter[str] = Counter()
    starting: Counter[str] = Counter()
    for container in get_dicts(raw, "spec", "initContainers"):
        requested = Counter(_extended(container, "resources", "requests"))
        if get_str(container, "restartPolicy") == "Always":
            running += requested
        else:
            starting |= running + requested
    for container in get_dicts(raw, "spec", "containers"):
        running += Counter(_extended(container, "resources", "requests"))
    return dict(running | starting)


def _extended(raw: Json, *path: str) -> dict[str, int]:
    """Return the extended resources with their numbers. All others have no domain, or that of Kubernetes."""
    named = ((k, v) for k, v in get_str_dict(raw, *path).items() if "/" in k and "kubernetes.io/" not in k)
    return {name: count for name, value in named if (count := parse_memory(value))}


def _anti_affinity(raw: Json) -> Iterator[AntiAffinityTerm]:
    """Yield the terms of the required anti-affinity. One without a labelSelector selects no pod."""
    own = get_str(raw, "metadata", "namespace")
    for term in get_dicts(raw, "spec", "affinity", "podAntiAffinity", _REQUIRED):
        if isinstance(term.get("labelSelector"), dict):
            yield AntiAffinityTerm(get_str(term, "topologyKey"), _selector(term), _namespaces(term, own))


def _selector(term: Json) -> tuple[Requirement, ...]:
    labels = get_str_dict(term, "labelSelector", "matchLabels")
    equal = tuple(Requirement(key, "In", frozenset({value})) for key, value in labels.items())
    return equal + _requirements(get_dict(term, "labelSelector"), "matchExpressions")


def _namespaces(term: Json, own: str) -> frozenset[str] | None:
    """Return the namespaces of a term; None: all. A selector of namespaces by label adds none: it is not evaluated."""
    selector, listed = term.get("namespaceSelector"), term.get("namespaces")
    if selector == {}:
        return None
    named = frozenset(n for n in listed if isinstance(n, str)) if isinstance(listed, list) else frozenset[str]()
    return named if named or isinstance(selector, dict) else frozenset({own})


def _requirements(selector: Json, field: str) -> tuple[Requirement, ...]:
    return tuple(Requirement(get_str(e, "key"), get_str(e, "operator"), _values(e)) for e in get_dicts(selector, field))


def _values(expression: Json) -> frozenset[str]:
    values = expression.get("values")
    return frozenset(v for v in values if isinstance(v, str)) if isinstance(values, list) else frozenset()
