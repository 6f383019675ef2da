"""Columns that `kubectl get` prints."""

from __future__ import annotations

from typing import Any

POLICY: list[dict[str, Any]] = [
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
    {"name": "Pods", "type": "integer", "jsonPath": ".status.pods.total"},
    {"name": "At-Risk", "type": "integer", "jsonPath": ".status.pods.atRisk"},
    {"name": "Rolls", "type": "integer", "jsonPath": ".status.rolls.succeeded"},
    {"name": "Time-To-Limit", "type": "string", "jsonPath": ".status.timeToLimit"},
    {"name": "Last-Action", "type": "string", "jsonPath": ".status.lastAction.action"},
    {"name": "Acted", "type": "date", "jsonPath": ".status.lastAction.time"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Status", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].message'},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Window", "type": "string", "jsonPath": ".spec.growth.window", "priority": 1},
    {"name": "Connection", "type": "string", "jsonPath": ".spec.prometheus", "priority": 1},
]

ROLL: list[dict[str, Any]] = [
    {"name": "Pod", "type": "string", "jsonPath": ".spec.podName"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Strategy", "type": "string", "jsonPath": ".status.strategy"},
    {"name": "Why", "type": "string", "jsonPath": ".spec.reason"},
    {"name": "Replacement", "type": "string", "jsonPath": ".status.replacement.name"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1},
]
