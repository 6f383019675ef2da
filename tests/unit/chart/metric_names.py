"""Metrics, labels and values of labels in PromQL, compared with what memroll and cAdvisor export."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memroll.api.pod_roll import EffectResult, Phase
from memroll.api.policy import Mode
from memroll.planning.gate_result import Gate
from memroll.reporting.metrics import SUSPENDED, UNKNOWN_EFFECT, Metrics
from memroll.reporting.outcome import PodState

if TYPE_CHECKING:
    from collections.abc import Iterator

CADVISOR = {
    name: {"namespace", "pod", "container"}
    for name in ("container_memory_rss", "container_memory_working_set_bytes", "container_spec_memory_limit_bytes")
}
TARGET_LABELS = {"namespace", "job", "instance"}
"""Labels that a scrape adds."""
VALUES = {
    "verdict": set(PodState),
    "outcome": {phase for phase in Phase if phase.final},
    "effect": {*EffectResult, UNKNOWN_EFFECT},
    "gate": set(Gate),
    "mode": {*Mode, SUSPENDED},
}
"""Values of the labels that a query may compare with a text."""
METRIC = re.compile(r"\b((?:memroll|container|kube)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')


def exported() -> dict[str, set[str]]:
    """Return the labels of each metric."""
    found = dict(CADVISOR)
    for collector, names in Metrics().registry._collector_to_names.items():
        found |= {name: {*collector._labelnames, *TARGET_LABELS} for name in names}  # type: ignore[attr-defined]
    return found


def unknown_in(expression: str) -> Iterator[str]:
    """Yield the metrics, labels and values of an expression that nothing exports."""
    known = exported()
    for metric, matchers in METRIC.findall(expression):
        if metric not in known:
            yield metric
            continue
        for label, value in MATCHER.findall(matchers):
            if label not in known[metric]:
                yield f"{metric}{{{label}}}"
            elif label in VALUES and value not in VALUES[label]:
                yield f'{metric}{{{label}="{value}"}}'
