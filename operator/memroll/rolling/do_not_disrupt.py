"""Do-not-disrupt annotations: memroll's own on a pod, its workload and its namespace, and those of two autoscalers.

The gates call it for each candidate, the observer once more before a roll is announced. An annotation with a value
that can't be parsed counts: a typo must not cost a pod.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.api.quantity import parse_duration
from memroll.model.pods import DO_NOT_DISRUPT_ANNOTATION, KARPENTER_ANNOTATION, SAFE_TO_EVICT_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memroll.model.pods import Pod, Workload


def do_not_disrupt(pod: Pod, workload: Workload | None, namespace: Mapping[str, str], now: datetime) -> str:
    """Return why a pod must not be disrupted, or an empty string. `namespace`: the annotations of its namespace."""
    marks = {
        "the pod": pod.annotations.get(DO_NOT_DISRUPT_ANNOTATION),
        str(workload.owner) if workload else "": workload.do_not_disrupt if workload else None,
        "the namespace": namespace.get(DO_NOT_DISRUPT_ANNOTATION),
    }
    for name, value in marks.items():
        mark = _own_mark(value, now)
        if mark:
            return f"{name} is marked {mark}"
    if pod.annotations.get(SAFE_TO_EVICT_ANNOTATION) == "false":
        return f"the pod is marked {SAFE_TO_EVICT_ANNOTATION}: false"
    mark = _karpenter_mark(pod, now)
    return f"the pod is marked {mark}" if mark else ""


def _karpenter_mark(pod: Pod, now: datetime) -> str:
    """Read Karpenter's annotation: "true", or the duration since the start of the pod for which it counts."""
    value = pod.annotations.get(KARPENTER_ANNOTATION, "false")
    if value == "false":
        return ""
    try:
        until = (pod.started_at or pod.created_at) + parse_duration(value)
        return f"{KARPENTER_ANNOTATION}: {value}, until {rfc3339(until)}" if now < until else ""
    except (ValueError, OverflowError):
        return f"{KARPENTER_ANNOTATION}: {value[:40]}"


def _own_mark(value: str | None, now: datetime) -> str:
    """Read `memroll.dev/do-not-disrupt`: "true", or the time until which it counts."""
    if value is None or value == "false":
        return ""
    try:
        until = datetime.fromisoformat(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return f"{DO_NOT_DISRUPT_ANNOTATION} until {rfc3339(until)}" if now < until else ""
    except (ValueError, OverflowError):
        return f"{DO_NOT_DISRUPT_ANNOTATION}: {value[:40]!r}"
