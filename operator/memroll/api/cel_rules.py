"""CEL rules that the API server checks, each with the message that a refused request is answered with.

Attached to the schemas by `crd`. CEL reserves the word `for`: the field of that name is written `__for__`.
"""

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
        "rule": "duration(self.growth.__for__) <= duration(self.growth.window)",
        "message": "`growth.for` must not be longer than `growth.window`",
        "fieldPath": ".growth.for",
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
        "rule": "duration(self.roll.settle) <= duration('1h')",
        "message": "`roll.settle` must be at most 1h",
        "fieldPath": ".roll.settle",
    },
    {
        "rule": "duration(self.roll.drain.minDuration) <= duration(self.roll.drain.timeout)"
        " && duration(self.roll.drain.timeout) <= duration('6h')",
        "message": "`roll.drain.minDuration` must not be longer than `roll.drain.timeout`, and that at most 6h",
        "fieldPath": ".roll.drain",
    },
    {
        "rule": "self.roll.budgets.all(b, duration(b.per) >= duration('1m'))",
        "message": "`per` of each of `roll.budgets` must be at least 1m",
        "fieldPath": ".roll.budgets",
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

_IMMUTABLE = (
    "podName",
    "podUID",
    "policy",
    "strategy",
    "duringRollout",
    "reason",
    "replacementTimeoutSeconds",
    "settleSeconds",
    "drain",
    "evidence",
    "workload",
    "trigger",
)
"""Fields of a PodRoll's spec that never change."""
ROLL: list[dict[str, Any]] = [
    {
        "rule": " && ".join(
            f"(has(self.{f}) == has(oldSelf.{f}) && (!has(self.{f}) || self.{f} == oldSelf.{f}))" for f in _IMMUTABLE
        ),
        "message": "only `cancel` can be changed: a roll is a record",
    },
    EVIDENCE,
]
