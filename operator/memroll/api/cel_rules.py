"""What the API server itself checks: CEL rules, each with the words that a person reads when it refuses."""

from __future__ import annotations

from typing import Any

EVIDENCE: dict[str, Any] = {
    "rule": "duration(self.evidence.timeout) >= duration('1s') && duration(self.evidence.timeout) <= duration('60s')",
    "message": "`evidence.timeout` must be from 1s to 60s",
    "fieldPath": ".evidence.timeout",
}
POLICY: list[dict[str, Any]] = [
    {
        "rule": "has(self.selector) != has(self.targetRef)",
        "message": "exactly one of `selector` and `targetRef` must be set",
    },
    {
        "rule": "duration(self.interval) >= duration('5s') && duration(self.interval) <= duration('1h')",
        "message": "`interval` must be from 5s to 1h",
        "fieldPath": ".interval",
    },
    {
        "rule": "duration(self.growth.window) >= duration('30s') && duration(self.growth.window) <= duration('168h')",
        "message": "`growth.window` must be from 30s to 168h",
        "fieldPath": ".growth.window",
    },
    {
        "rule": "duration(self.growth.persist) <= duration(self.growth.window)",
        "message": "`growth.persist` must not be longer than `growth.window`",
        "fieldPath": ".growth.persist",
    },
    {
        "rule": "duration(self.interval) <= duration(self.growth.window)",
        "message": "`interval` must not be longer than `growth.window`",
        "fieldPath": ".interval",
    },
    {
        "rule": "duration(self.roll.replacementTimeout) >= duration('5s')"
        " && duration(self.roll.replacementTimeout) <= duration('6h')",
        "message": "`roll.replacementTimeout` must be from 5s to 6h",
        "fieldPath": ".roll.replacementTimeout",
    },
    {
        "rule": "duration(self.roll.drain.wait) <= duration(self.roll.drain.timeout)"
        " && duration(self.roll.drain.timeout) <= duration('6h')",
        "message": "`roll.drain.wait` must not be longer than `roll.drain.timeout`, and that at most 6h",
        "fieldPath": ".roll.drain",
    },
    EVIDENCE,
]

SELECTOR: Any = [
    {
        "rule": "(has(self.matchLabels) && size(self.matchLabels) > 0)"
        " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
        "message": "must have at least one of matchLabels and matchExpressions",
    }
]

TARGET: Any = [
    {
        "rule": "[['apps/v1', 'Deployment'], ['apps/v1', 'StatefulSet'], ['apps/v1', 'DaemonSet'],"
        " ['apps/v1', 'ReplicaSet'], ['argoproj.io/v1alpha1', 'Rollout']]"
        ".exists(x, x == [self.apiVersion, self.kind])",
        "message": "must be an apps/v1 Deployment, StatefulSet, DaemonSet or ReplicaSet,"
        " or an argoproj.io/v1alpha1 Rollout",
    }
]

_FIXED = (
    "podName",
    "podUID",
    "policy",
    "strategy",
    "reason",
    "replacementTimeoutSeconds",
    "drain",
    "evidence",
    "workload",
    "finding",
)
ROLL: list[dict[str, Any]] = [
    {
        "rule": " && ".join(
            f"(has(self.{f}) == has(oldSelf.{f}) && (!has(self.{f}) || self.{f} == oldSelf.{f}))" for f in _FIXED
        ),
        "message": "only `veto` can be changed: a roll is a record",
    },
    EVIDENCE,
]
