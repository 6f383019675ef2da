"""Who must be left alone: annotations on the pod and on its namespace. What can't be read protects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.model.pods import PROTECT_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREIGN_MARKS = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}


def protection(of_pod: Mapping[str, str], of_namespace: Mapping[str, str], now: datetime) -> str:
    """Say what protects a pod, or return nothing."""
    for where, marked in (("pod", of_pod), ("namespace", of_namespace)):
        until = _protected_until(marked, now)
        if until:
            return f"the {where} is protected {until}"
    for name, value in FOREIGN_MARKS.items():
        if of_pod.get(name) == value:
            return f"the pod is marked {name}: {value}"
    return ""


def _protected_until(annotations: Mapping[str, str], now: datetime) -> str:
    """Read `memroll.dev/protect`: "true", or a time until when."""
    value = annotations.get(PROTECT_ANNOTATION)
    if value is None or value == "false":
        return ""
    try:
        until = datetime.fromisoformat(value)
    except ValueError:
        return f"({PROTECT_ANNOTATION}: {value[:40]!r})"
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return f"until {rfc3339(until)}" if now < until else ""
