"""Events about the candidates of a plan: those that a gate blocks, and those that a dry run would roll.

`reporting.event_builder` groups them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memroll.planning.pod_roll_manifest import roll_reason
from memroll.reporting.event_groups import PodFinding
from memroll.reporting.event_objects import about_pod, about_policy, about_workload
from memroll.reporting.events import Event, EventReason, EventType

if TYPE_CHECKING:
    from memroll.api.policy import MemoryPolicy
    from memroll.planning.candidate import Candidate
    from memroll.planning.plan import Blocked


def blocked_finding(blocked: Blocked) -> PodFinding:
    """Return the Events about a pod that is due and blocked, on the pod and on its workload."""
    pod, gate, workload = blocked.candidate.pod, blocked.gate, blocked.candidate.workload
    text = f"Pod {pod.key.name} is due, but gate {gate} blocks its roll: {blocked.message}"
    text += f"; also blocked by {', '.join(blocked.others)}" if blocked.others else ""
    events = [Event(about_pod(pod), EventType.WARNING, EventReason.ROLL_BLOCKED, text, gate)]
    if workload is not None:
        regarding, subject = about_workload(pod, workload), f"{pod.key.uid}/{gate}"
        events.append(Event(regarding, EventType.WARNING, EventReason.ROLL_BLOCKED, text, subject))
    return PodFinding(pod.key.name, text, tuple(events), gate)


def dry_run_finding(policy: MemoryPolicy, candidate: Candidate) -> PodFinding:
    """Return the Events about a pod that would be rolled now, on the pod, on its workload and on the policy."""
    pod, workload = candidate.pod, candidate.workload
    text = f"Pod {pod.key.name} would be rolled now (mode: DryRun). {roll_reason(policy, candidate)}"
    owners = [about_workload(pod, workload)] if workload is not None else []
    involved = [about_pod(pod), *owners, about_policy(policy)]
    events = (Event(about, EventType.NORMAL, EventReason.WOULD_ROLL, text, pod.key.uid) for about in involved)
    return PodFinding(pod.key.name, text, tuple(events))
