"""Objects that select a pod by its labels, and the labels to change to remove the pod from its Services.

A label may only change if no NetworkPolicy treats the pod differently afterwards, because a detached pod keeps serving
its open connections. Only the built-in NetworkPolicy is read; policies of a network plugin's own kinds are not. The
template hash, in addition, may only change if no PodDisruptionBudget selects by it: the budget would then not count the
pod, and permit an eviction that it should refuse.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memroll.api.pod_roll import Detachment
from memroll.api.selector import meets_requirement
from memroll.clients.kube.api_client import build_path
from memroll.clients.kube.json_access import get_dict, get_dicts, get_str, get_str_dict
from memroll.clients.kube.pods import CORE
from memroll.errors import TerminalError
from memroll.model.pod_selection import PodSelection
from memroll.model.pods import DETACHED_VALUE, HASH_LABELS, RELEASED_HASH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from memroll.clients.kube.api_client import Json, KubeApi
    from memroll.model.pods import Pod

logger = logging.getLogger(__name__)

_NETWORKING = "/apis/networking.k8s.io/v1"
_POLICIES = "networkpolicies"
_POLICY_GROUP = "/apis/policy/v1"


class KubeNetworkReader:
    """Reads the Services, NetworkPolicies and PodDisruptionBudgets that select pods by label."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def find_detachment(self, pod: Pod) -> Detachment:
        """Return how this pod can be detached, or why not. A missing permission is a reason, not an error."""
        namespace = pod.key.namespace
        try:
            services, policies = await self._read(namespace)
        except TerminalError as error:
            return Detachment(skipped=_unreadable(error))
        try:
            return plan_detachment(pod.labels, services, policies, namespace)
        except Exception as bug:
            logger.exception("bug: decoding the Services of namespace %s failed", namespace)
            return Detachment(skipped=_unreadable(bug))

    async def find_selection(self, pod: Pod, hash_label: str) -> PodSelection:
        """Return what selects this pod by its template hash, and how many PodDisruptionBudgets select it."""
        try:
            selecting = await self._read_selecting(pod.key.namespace)
        except TerminalError as error:
            return PodSelection(_unreadable(error))
        hash_selector = _describe_safely(pod, hash_label, selecting)
        return PodSelection(hash_selector, None if hash_selector else count_budgets(pod.labels, selecting.budgets))

    async def find_hash_selectors(self, namespace: str, pods: Sequence[tuple[Pod, str]]) -> list[str]:
        """Return for pods of a namespace, with their hash labels, what selects them by the template hash; or empty."""
        try:
            selecting = await self._read_selecting(namespace)
        except TerminalError as error:
            return [_unreadable(error)] * len(pods)
        return [_describe_safely(pod, hash_label, selecting) for pod, hash_label in pods]

    async def _read_selecting(self, namespace: str) -> Selecting:
        services, policies = await self._read(namespace)
        path = build_path(_POLICY_GROUP, namespace, "poddisruptionbudgets")
        return Selecting(services, policies, [b async for b in self._api.list_items(path)])

    async def _read(self, namespace: str) -> tuple[list[Json], list[Json]]:
        services = [s async for s in self._api.list_items(build_path(CORE, namespace, "services"))]
        return services, await self._read_policies(namespace)

    async def _read_policies(self, namespace: str) -> list[Json]:
        """Return the NetworkPolicies of all namespaces, for any may name this pod as a peer.

        Without the permission for all, only those of the pod's namespace.
        """
        try:
            return [p async for p in self._api.list_items(build_path(_NETWORKING, plural=_POLICIES))]
        except TerminalError:
            return [p async for p in self._api.list_items(build_path(_NETWORKING, namespace, _POLICIES))]


def _describe_safely(pod: Pod, hash_label: str, selecting: Selecting) -> str:
    try:
        return describe_hash_selector(pod.labels, hash_label, selecting, pod.key.namespace)
    except Exception as bug:
        logger.exception("bug: decoding the Services of namespace %s failed", pod.key.namespace)
        return _unreadable(bug)


def plan_detachment(
    labels: Mapping[str, str], services: Sequence[Json], policies: Sequence[Json], namespace: str
) -> Detachment:
    """Choose the fewest labels whose change removes a pod of this namespace from every Service that selects it. Pure.

    `services` are those of the namespace; `policies` may include those of other namespaces.
    """
    selecting = {
        get_str(s, "metadata", "name"): sel for s in services if (sel := _selector(s)) and _has_all(sel, labels)
    }
    if not selecting:
        return Detachment(skipped="no Service selects the pod")
    free = {key for sel in selecting.values() for key in sel if key not in HASH_LABELS}
    selectors = [s for policy in policies for s in _pod_selectors(policy, namespace)]
    free = {key for key in free if not _affects_policies(labels, key, selectors)}
    chosen: dict[str, str] = {}
    for name, sel in sorted(selecting.items()):
        if chosen.keys() & sel.keys():
            continue
        usable = sorted(sel.keys() & free, key=lambda k: (-sum(1 for other in selecting.values() if k in other), k))
        if not usable:
            return Detachment(skipped=f"every label by which Service {name} selects the pod is used by a NetworkPolicy")
        chosen[usable[0]] = labels[usable[0]]
    return Detachment(labels=chosen)


@dataclass(frozen=True, slots=True)
class Selecting:
    """Objects that may select a pod, as raw JSON: those of its namespace, and the NetworkPolicies of all namespaces."""

    services: Sequence[Json] = ()
    policies: Sequence[Json] = ()
    budgets: Sequence[Json] = ()


def describe_hash_selector(labels: Mapping[str, str], hash_label: str, selecting: Selecting, namespace: str) -> str:
    """Return which Service, NetworkPolicy or PodDisruptionBudget would treat the released pod differently. Pure.

    Argo Rollouts writes the hash into the selectors of its active, preview, stable and canary Services.
    """
    released = {**labels, hash_label: RELEASED_HASH}
    by_hash = f"selects the pod by its label {hash_label}"
    for service in selecting.services:
        selector = _selector(service)
        if selector and _has_all(selector, labels) and not _has_all(selector, released):
            return f"Service {get_str(service, 'metadata', 'name')} {by_hash}"
    for policy in selecting.policies:
        if any(_selects(s, labels) != _selects(s, released) for s in _pod_selectors(policy, namespace)):
            name = f"{get_str(policy, 'metadata', 'namespace')}/{get_str(policy, 'metadata', 'name')}"
            return f"NetworkPolicy {name} {by_hash}"
    for budget in selecting.budgets:
        if _is_of_budget(budget, labels) != _is_of_budget(budget, released):
            return f"PodDisruptionBudget {get_str(budget, 'metadata', 'name')} {by_hash}"
    return ""


def count_budgets(labels: Mapping[str, str], budgets: Sequence[Json]) -> int:
    """Return how many PodDisruptionBudgets select a pod. The API server refuses each eviction if they are several."""
    return sum(1 for budget in budgets if _is_of_budget(budget, labels))


def _is_of_budget(budget: Json, labels: Mapping[str, str]) -> bool:
    """Return whether a budget selects a pod: without a selector it selects none, with an empty one all."""
    selected = get_dict(budget, "spec").get("selector")
    return isinstance(selected, dict) and _selects(selected, labels)


def _unreadable(error: Exception) -> str:
    detail = error.message if isinstance(error, TerminalError) else f"{type(error).__name__}, a bug"
    return f"can't read what selects the pod: {detail}"[:1024]


def _selector(service: Json) -> dict[str, str]:
    """Return the selector; none for a Service of type ExternalName, whose selector has no effect."""
    if get_str(service, "spec", "type") == "ExternalName":
        return {}
    return get_str_dict(service, "spec", "selector")


def _has_all(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _affects_policies(labels: Mapping[str, str], key: str, selectors: Sequence[Json]) -> bool:
    """Return whether a NetworkPolicy would treat the pod differently after the change of one label."""
    changed = {**labels, key: DETACHED_VALUE}
    return any(_selects(s, labels) != _selects(s, changed) for s in selectors)


def _pod_selectors(policy: Json, namespace: str) -> Iterator[Json]:
    """Yield the selectors of a NetworkPolicy that apply to pods of this namespace.

    For a policy of another namespace, these are only the peers with a namespaceSelector, which is taken as selecting
    this namespace: the namespace's labels are not read.
    """
    same_namespace = get_str(policy, "metadata", "namespace") == namespace
    if same_namespace:
        yield get_dict(policy, "spec", "podSelector")
    for rules, peers in (("ingress", "from"), ("egress", "to")):
        for rule in get_dicts(policy, "spec", rules):
            for peer in get_dicts(rule, peers):
                if same_namespace or "namespaceSelector" in peer:
                    yield get_dict(peer, "podSelector")


def _selects(selector: Json, labels: Mapping[str, str]) -> bool:
    if not _has_all(get_str_dict(selector, "matchLabels"), labels):
        return False
    return all(_matches(expression, labels) for expression in get_dicts(selector, "matchExpressions"))


def _matches(expression: Json, labels: Mapping[str, str]) -> bool:
    key, given = get_str(expression, "key"), expression.get("values")
    is_met = meets_requirement(labels, key, get_str(expression, "operator"), given if isinstance(given, list) else [])
    return key not in labels if is_met is None else is_met
