"""The CEL rules of a policy in Python: a command that reads a policy from a file refuses what the API server refuses.

The models check types, formats and some rules; the bounds of durations are only in the CRD, so that the operator reads
any policy that the API server has accepted. tests/unit/api/test_cel_checks.py compares the two.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memroll.api import cel_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memroll.api.policy import PolicySpec

TARGETS = {
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("argoproj.io/v1alpha1", "Rollout"),
}
"""Kinds of `targetRef`."""


def violations(spec: PolicySpec) -> Iterator[str]:
    """Yield the message of each rule that a policy breaks."""
    growth, roll, drain = spec.growth, spec.roll, spec.roll.drain
    results = {
        ".interval": timedelta(seconds=5) <= spec.interval <= timedelta(hours=1),
        ".growth.window": timedelta(seconds=30) <= growth.window <= timedelta(hours=168),
        ".roll.replacementTimeout": timedelta(seconds=5) <= roll.replacement_timeout <= timedelta(hours=6),
        ".roll.settle": roll.settle <= timedelta(hours=1),
        ".roll.drain": drain.timeout <= timedelta(hours=6),
    }
    for rule in cel_rules.POLICY:
        path = rule.get("fieldPath", "")
        if path == ".interval" and "growth.window" in rule["message"]:
            is_kept = spec.interval <= growth.window
        else:
            is_kept = results.get(path, True)
        if not is_kept:
            yield rule["message"]
    yield from _duplicates(spec)
    ref = spec.target_ref
    if ref is not None and (ref.api_version, ref.kind) not in TARGETS:
        yield f"`targetRef` {cel_rules.TARGET[0]['message']}"


def _duplicates(spec: PolicySpec) -> Iterator[str]:
    """Yield a message for each set with a duplicate: the API server refuses it by the type of the list."""
    windows = spec.roll.maintenance_windows
    sets: dict[str, tuple[str, ...]] = {"containers": spec.containers}
    for name, given in (("allow", windows.allow), ("deny", windows.deny)) if windows else ():
        for number, window in enumerate(given):
            sets[f"roll.maintenanceWindows.{name}[{number}].days"] = window.days
    for field, values in sets.items():
        for number, value in enumerate(values):
            if value in values[:number]:
                yield f"`{field}[{number}]`: Duplicate value: {value}"
