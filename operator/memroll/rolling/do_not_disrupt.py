"""Do-not-disrupt annotations on a pod and its namespace: memroll's own, and those of the two autoscalers.

The gates call it for each candidate, the observer once more before a roll is announced. An annotation with a value
that can't be parsed counts: a typo must not cost a pod.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from memroll.api.base import rfc3339
from memroll.model.pods import AUTOSCALER_ANNOTATIONS, DO_NOT_DISRUPT_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping


def do_not_disrupt(pod: Mapping[str, str], namespace: Mapping[str, str], now: datetime) -> str:
    """Return why a pod with these annotations must not be disrupted, or an empty string."""
    for kind, marks in (("pod", pod), ("namespace", namespace)):
        mark = _own_mark(marks, now)
        if mark:
            return f"the {kind} is marked {mark}"
    for name, value in AUTOSCALER_ANNOTATIONS.items():
        if pod.get(name) == value:
            return f"the pod is marked {name}: {value}"
    return ""


def _own_mark(annotations: Mapping[str, str], now: datetime) -> str:
    """Read `memroll.dev/do-not-disrupt`: "true", or the time until which it counts."""
    value = annotations.get(DO_NOT_DISRUPT_ANNOTATION)
    if value is None or value == "false":
        return ""
    try:
        until = datetime.fromisoformat(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return f"{DO_NOT_DISRUPT_ANNOTATION} until {rfc3339(until)}" if now < until else ""
    except (ValueError, OverflowError):
        return f"{DO_NOT_DISRUPT_ANNOTATION}: {value[:40]!r}"
