"""Placement: whether a second copy of a pod can be scheduled while the pod still runs. Pure.

`clients.kube.placement` decodes nodes and pods, and calls `missing_room_because`. Only what pods can't share is
compared: extended resources such as GPUs, and required anti-affinity, in both directions as the scheduler does. What
can't be decided here counts as fulfilled, and what is not compared (CPU, memory, topology spread) as sufficient.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.api.selector import meets_requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_REASON_CHARS = 512
"""Maximum length of the reason in characters: half of a message in a PodRoll, so that it fits into one."""
_NO_VALUES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Requirement:
    """Requirement on one label, as in `matchExpressions`."""

    key: str
    operator: str
    values: frozenset[str] = _NO_VALUES

    def is_met(self, labels: Mapping[str, str]) -> bool | None:
        """Return whether labels meet the requirement; None for an operator that can't be decided here (Gt, Lt)."""
        return meets_requirement(labels, self.key, self.operator, self.values)


@dataclass(frozen=True, slots=True)
class AntiAffinityTerm:
    """Required anti-affinity: no pod that the term selects may run where the topology key has the same value."""

    topology_key: str
    requirements: tuple[Requirement, ...]
    """Requirements on a pod's labels. The API server has merged `matchLabelKeys` and `mismatchLabelKeys` into them."""
    namespaces: frozenset[str] | None
    """Namespaces of the selected pods; None: all."""

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return all(r.is_met(labels) for r in self.requirements)


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """One alternative of a required node affinity."""

    labels: tuple[Requirement, ...]
    fields: tuple[Requirement, ...]
    """Requirements on `metadata.name`, the only field that the API server permits."""

    def excludes(self, node: NodeState) -> bool:
        """Return whether the node surely does not fulfill the term. One without any requirement selects no node."""
        results = [r.is_met(node.labels) for r in self.labels]
        results += [r.is_met({"metadata.name": node.name}) for r in self.fields]
        return not results or False in results


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Toleration:
    key: str
    operator: str
    value: str
    effect: str

    def covers(self, taint: Taint) -> bool:
        """Return whether the toleration may cover the taint; an operator that can't be decided here does."""
        if self.effect not in ("", taint.effect) or self.key not in ("", taint.key):
            return False
        return self.operator not in ("", "Equal") or self.value == taint.value


@dataclass(frozen=True, slots=True)
class NodeState:
    """Node, with what matters for the placement of a pod."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    allocatable: Mapping[str, int] = field(default_factory=dict)
    """Extended resources only."""
    taints: tuple[Taint, ...] = ()
    """Taints that keep pods away: those with effect NoSchedule or NoExecute, and that of a cordoned node."""


@dataclass(frozen=True, slots=True)
class PlacementNeeds:
    """Part of a pod's spec that restricts its nodes."""

    extended: Mapping[str, int] = field(default_factory=dict)
    """Requests of extended resources."""
    anti_affinity: tuple[AntiAffinityTerm, ...] = ()
    node_labels: Mapping[str, str] = field(default_factory=dict)
    """The pod's `nodeSelector`."""
    node_terms: tuple[NodeTerm, ...] = ()
    """Alternatives of the required node affinity; empty: there is none."""
    tolerations: tuple[Toleration, ...] = ()

    @property
    def are_restrictive(self) -> bool:
        """True if a second copy of the pod may find no node because of the first one."""
        return bool(self.extended or self.anti_affinity)

    def permit(self, node: NodeState) -> bool:
        """Return whether the pod may run on the node, whatever runs there."""
        if any(node.labels.get(key) != value for key, value in self.node_labels.items()):
            return False
        if self.node_terms and all(term.excludes(node) for term in self.node_terms):
            return False
        return all(any(t.covers(taint) for t in self.tolerations) for taint in node.taints)


@dataclass(frozen=True, slots=True)
class PlacedPod:
    """Pod on a node."""

    uid: str
    namespace: str
    node: str
    labels: Mapping[str, str] = field(default_factory=dict)
    extended: Mapping[str, int] = field(default_factory=dict)
    anti_affinity: tuple[AntiAffinityTerm, ...] = ()
    is_terminating: bool = False


@dataclass(frozen=True, slots=True)
class Neighbor:
    """Part of a placed pod that may keep a second copy of the rolled pod away from nodes."""

    uid: str
    node: str
    extended: Mapping[str, int]
    excluded_keys: frozenset[str]
    """Topology keys whose value the two pods must not share."""


@dataclass(frozen=True, slots=True)
class SecondCopy:
    """Replacement that is to be scheduled while the old pod still runs."""

    old: PlacedPod
    """The old pod, with the labels that it still has: those of the replacement."""
    needs: PlacementNeeds
    released_labels: Mapping[str, str]
    """Labels of the old pod once it is released."""

    def neighbor(self, placed: PlacedPod) -> Neighbor | None:
        """Return what a placed pod takes away from the replacement; None: nothing.

        The old pod's own terms keep applying to the replacement, which has the labels that the old pod had. A pod that
        terminates takes nothing away: its room is free in seconds, for which a replacement can wait.
        """
        if placed.is_terminating:
            return None
        own, new = self.old, self.old.labels
        labels = self.released_labels if placed.uid == own.uid else placed.labels
        keys = {t.topology_key for t in self.needs.anti_affinity if t.selects(placed.namespace, labels)}
        keys |= {t.topology_key for t in placed.anti_affinity if t.selects(own.namespace, new)}
        extended = {name: count for name, count in placed.extended.items() if name in self.needs.extended}
        return Neighbor(placed.uid, placed.node, extended, frozenset(keys)) if keys or extended else None


def missing_room_because(copy: SecondCopy, nodes: Sequence[NodeState], neighbors: Sequence[Neighbor]) -> str:
    """Return why no node has room for the replacement next to the old pod, or an empty string.

    Nothing is claimed unless a node has room once the old pod is gone: otherwise an eviction would not help, or the
    rules that are known here are not those of the pod's scheduler.
    """
    permitted = [node for node in nodes if copy.needs.permit(node)]
    obstacles = _obstacles(copy.needs, nodes, permitted, neighbors)
    if not all(obstacles):
        return ""
    others = [n for n in neighbors if n.uid != copy.old.uid]
    if all(_obstacles(copy.needs, nodes, permitted, others)):
        return ""
    counts = sorted(Counter(obstacles).items(), key=lambda item: (-item[1], item[0]))
    detail = ", ".join(f"{count} of {len(permitted)} {obstacle}" for obstacle, count in counts)
    return f"no node has room for a second copy of the pod: {detail}"[:MAX_REASON_CHARS]


def _obstacles(
    needs: PlacementNeeds, nodes: Iterable[NodeState], permitted: Iterable[NodeState], neighbors: Iterable[Neighbor]
) -> list[str]:
    """Return for each permitted node what it lacks, or an empty string."""
    by_name = {node.name: node for node in nodes}
    used: dict[str, Counter[str]] = defaultdict(Counter)
    taken: set[tuple[str, str]] = set()
    for neighbor in neighbors:
        used[neighbor.node].update(neighbor.extended)
        labels = by_name[neighbor.node].labels if neighbor.node in by_name else {}
        taken |= {(key, labels[key]) for key in neighbor.excluded_keys if key in labels}
    return [_obstacle(needs, node, used[node.name], taken) for node in permitted]


def _obstacle(needs: PlacementNeeds, node: NodeState, used: Mapping[str, int], taken: set[tuple[str, str]]) -> str:
    for key, value in sorted(taken):
        if node.labels.get(key) == value:
            return f"excluded by required anti-affinity ({key})"
    for name, requested in sorted(needs.extended.items()):
        if node.allocatable.get(name, 0) - used.get(name, 0) < requested:
            return f"without a free {name}"
    return ""
