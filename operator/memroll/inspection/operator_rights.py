"""Permissions that the operator needs with its settings, as the chart grants them. Pure.

`inspection.cluster_checks` has the API server review each; a test compares them with the roles of the chart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api import GROUP, POLICY_PLURAL, ROLL_PLURAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from memroll.settings import Settings

    Right = tuple[str, str, str]
    """Verb, API group and resource."""

READ = ("get", "list")
ARGO = "argoproj.io"
RESTARTED = ("deployments", "statefulsets", "daemonsets")
"""Workloads that can be restarted; Argo Rollouts are in a group of their own."""
SELECTING = (("", "services"), ("networking.k8s.io", "networkpolicies"), ("policy", "poddisruptionbudgets"))
"""Objects that select pods by their labels, which a Surge and a detached pod must respect."""


def operator_rights(settings: Settings) -> Iterator[Right]:
    """Yield the permissions without which memroll does not work, or rolls no pod as its settings permit."""
    yield from _of(GROUP, POLICY_PLURAL, *READ, "watch")
    yield from _of(GROUP, ROLL_PLURAL, *READ, "watch", "create", "delete")
    for plural in (POLICY_PLURAL, ROLL_PLURAL):
        yield from _of(GROUP, f"{plural}/status", "update")
    yield from _of("", "pods", *READ)
    yield from _of("", "namespaces", "get")
    for plural in (*RESTARTED, "replicasets"):
        yield from _of("apps", plural, *READ)
    yield from _of("", "events", "create", "get", "patch")
    if settings.allow_acting:
        yield from _of("", "pods/eviction", "create")
        for group, plural in SELECTING:
            yield from _of(group, plural, *READ)
    yield from _enabled_rights(settings)


def _enabled_rights(settings: Settings) -> Iterator[Right]:
    if settings.allow_surge:
        yield from _of("", "pods", "patch")
    if settings.allow_restart:
        for plural in RESTARTED:
            yield from _of("apps", plural, "patch")
        yield from _of(ARGO, "rollouts", "patch")
    if settings.allow_logs:
        yield from _of("", "pods/log", "get")
    if settings.allow_nodes:
        yield from _of("", "nodes", "list")


OPTIONAL_RIGHTS: Mapping[Right, str] = {
    ("watch", "", "pods"): "rolls poll",
    ("get", "", "persistentvolumeclaims"): "pods with claims are evicted",
    ("list", "", "persistentvolumeclaims"): "pods with claims are evicted",
    ("get", ARGO, "rollouts"): "pods of Argo Rollouts are not rolled",
    ("list", ARGO, "rollouts"): "pods of Argo Rollouts are not rolled",
    ("list", "autoscaling", "horizontalpodautoscalers"): "no HorizontalPodAutoscaler is named",
    ("list", "autoscaling.k8s.io", "verticalpodautoscalers"): "no VerticalPodAutoscaler is named",
    ("list", "keda.sh", "scaledobjects"): "no ScaledObject is named",
}
"""Permissions without which a part is missing, and what is missing then."""


def effects(denied: Iterable[Right]) -> str:
    """Return what is missing without these optional permissions."""
    return ", ".join(dict.fromkeys(OPTIONAL_RIGHTS[right] for right in denied))


def _of(group: str, resource: str, *verbs: str) -> Iterator[Right]:
    return ((verb, group, resource) for verb in verbs)
