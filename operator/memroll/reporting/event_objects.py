"""Objects that Events are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.api import API_VERSION
from memroll.reporting.events import Regarding

if TYPE_CHECKING:
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Pod, Workload


def about_policy(policy: MemoryPolicy) -> Regarding:
    return Regarding(API_VERSION, "MemoryPolicy", policy.namespace, policy.name, policy.uid)


def about_pod(pod: Pod) -> Regarding:
    return Regarding("v1", "Pod", pod.key.namespace, pod.key.name, pod.key.uid)


def about_workload(pod: Pod, workload: Workload) -> Regarding:
    owner = workload.owner
    return Regarding(owner.api_version, owner.kind, pod.key.namespace, owner.name, owner.uid)
