"""Autoscalers of workloads, as `clients.kube.autoscalers` reads them and a policy's status names them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll.model.pod_names import WorkloadName


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """HorizontalPodAutoscaler, VerticalPodAutoscaler or ScaledObject, and its effect on a workload that leaks."""

    kind: str
    name: str
    target: WorkloadName
    message: str
    """Metrics that it scales by, and the effect of a leak on that, as a sentence without its subject."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"
