"""How a pod can be taken out of its Services: which labels to change, and which never to touch.

A label is only changed where no NetworkPolicy would treat the pod otherwise after it: a detached pod still serves the
connections that it has. Only the built-in kind is seen; policies of a network's own kinds are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api.pod_roll import Detachment
from memroll.clients.kube.api_client import path_of
from memroll.clients.kube.json_access import mapping, mappings, text, texts
from memroll.clients.kube.pods import CORE
from memroll.errors import Stalled
from memroll.model.pods import DETACHED_VALUE, HASH_LABELS, RELEASED_HASH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from memroll.clients.kube.api_client import Api, Json
    from memroll.model.pods import Target

_NETWORKING = "/apis/networking.k8s.io/v1"
_POLICIES = "networkpolicies"


class Services:
    """Reads what selects pods by their labels."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def detachment(self, target: Target) -> Detachment:
        """Return how this pod can be detached, or why it can't; what may not be read is a reason, not an error."""
        namespace = target.key.namespace
        try:
            services, policies = await self._selecting(namespace)
        except Stalled as forbidden:
            return Detachment(skipped=_unreadable(forbidden))
        return detachment_of(target.labels, services, policies, namespace)

    async def hash_selected_by(self, target: Target, hash_label: str) -> str:
        """Say what selects this pod by its template hash, or that it can't be read; empty when nothing does."""
        namespace = target.key.namespace
        try:
            services, policies = await self._selecting(namespace)
        except Stalled as forbidden:
            return _unreadable(forbidden)
        return selected_by_hash(target.labels, hash_label, services, policies, namespace)

    async def _selecting(self, namespace: str) -> tuple[list[Json], list[Json]]:
        services = [s async for s in self._api.pages(path_of(CORE, namespace, "services"))]
        return services, await self._policies(namespace)

    async def _policies(self, namespace: str) -> list[Json]:
        """Return all NetworkPolicies, for those of other namespaces may name this pod as a peer, or the own ones."""
        try:
            return [p async for p in self._api.pages(path_of(_NETWORKING, plural=_POLICIES))]
        except Stalled:
            return [p async for p in self._api.pages(path_of(_NETWORKING, namespace, _POLICIES))]


def detachment_of(
    labels: Mapping[str, str], services: Sequence[Json], policies: Sequence[Json], namespace: str
) -> Detachment:
    """Pick as few labels as take a pod of this namespace out of every Service that selects it. Pure.

    `services` are those of the namespace; `policies` may be those of others, too.
    """
    selecting = {text(s, "metadata", "name"): sel for s in services if (sel := _selector(s)) and _holds(sel, labels)}
    if not selecting:
        return Detachment(skipped="no Service selects the pod")
    free = {key for sel in selecting.values() for key in sel if key not in HASH_LABELS}
    selectors = [s for policy in policies for s in _pod_selectors(policy, namespace)]
    free = {key for key in free if not _seen_by(labels, key, selectors)}
    chosen: dict[str, str] = {}
    for name, sel in sorted(selecting.items()):
        if chosen.keys() & sel.keys():
            continue
        usable = sorted(sel.keys() & free, key=lambda k: (-sum(1 for other in selecting.values() if k in other), k))
        if not usable:
            return Detachment(
                skipped=f"Service {name} selects the pod only by labels that a NetworkPolicy goes by, too"
            )
        chosen[usable[0]] = labels[usable[0]]
    return Detachment(labels=chosen)


def selected_by_hash(
    labels: Mapping[str, str], hash_label: str, services: Sequence[Json], policies: Sequence[Json], namespace: str
) -> str:
    """Say which Service or NetworkPolicy would tell the pod, once it is released, from the pod before. Pure.

    Argo Rollouts writes the hash into the selectors of its active, preview, stable and canary Services.
    """
    released = {**labels, hash_label: RELEASED_HASH}
    for service in services:
        selector = _selector(service)
        if selector and _holds(selector, labels) and not _holds(selector, released):
            return f"Service {text(service, 'metadata', 'name')} selects the pod by its label {hash_label}"
    for policy in policies:
        if any(_selects(s, labels) != _selects(s, released) for s in _pod_selectors(policy, namespace)):
            name = f"{text(policy, 'metadata', 'namespace')}/{text(policy, 'metadata', 'name')}"
            return f"NetworkPolicy {name} selects the pod by its label {hash_label}"
    return ""


def _unreadable(forbidden: Stalled) -> str:
    return f"what selects the pod can't be read: {forbidden.message}"[:1024]


def _selector(service: Json) -> dict[str, str]:
    return texts(service, "spec", "selector")


def _holds(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _seen_by(labels: Mapping[str, str], key: str, selectors: Sequence[Json]) -> bool:
    """Whether a NetworkPolicy would tell the pod with the changed label from the one before."""
    changed = {**labels, key: DETACHED_VALUE}
    return any(_selects(s, labels) != _selects(s, changed) for s in selectors)


def _pod_selectors(policy: Json, namespace: str) -> Iterator[Json]:
    """Yield what a NetworkPolicy selects pods of this namespace by: in another one, only peers that it looks for here.

    A peer's namespaceSelector is not compared with the namespace's labels: it counts as if it selected it.
    """
    at_home = text(policy, "metadata", "namespace") == namespace
    if at_home:
        yield mapping(policy, "spec", "podSelector")
    for rules, peers in (("ingress", "from"), ("egress", "to")):
        for rule in mappings(policy, "spec", rules):
            for peer in mappings(rule, peers):
                if at_home or "namespaceSelector" in peer:
                    yield mapping(peer, "podSelector")


def _selects(selector: Json, labels: Mapping[str, str]) -> bool:
    if not _holds(texts(selector, "matchLabels"), labels):
        return False
    return all(_meets(expression, labels) for expression in mappings(selector, "matchExpressions"))


def _meets(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = text(expression, "key"), expression.get("values") or []
    match text(expression, "operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
