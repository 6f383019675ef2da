"""A planned roll as the PodRoll to be recorded, with the numbers for which it was planned."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any

from memroll.api import API_VERSION
from memroll.api.base import WorkloadRef
from memroll.api.pod_roll import Finding, RollSpecification
from memroll.detection.assessment import Assessment, numbers
from memroll.detection.window import Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memroll.api.pod_roll import PodRoll
    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Container, PodKey
    from memroll.planning.candidate import Candidate

IMAGE_CHARS_MAX = 512


def names_of(pod: PodKey, rolls: Iterable[PodRoll]) -> Iterator[str]:
    """Yield names for the PodRoll of the next attempt at a pod, the first one first: the same for whoever records it.

    They follow from the uid of the pod's newest record, so that the next attempt has another name, however many older
    records are gone meanwhile. None is that of a PodRoll in `rolls`.
    """
    rolls = tuple(rolls)
    newest = max((r for r in rolls if r.pod_uid == pod.uid), key=lambda r: (r.created_at, r.uid), default=None)
    taken = {r.name for r in rolls}
    for number in itertools.count():
        attempt = f"{pod.uid}/{newest.uid if newest else ''}/{number}"
        name = f"{pod.name[:240]}-{hashlib.sha256(attempt.encode()).hexdigest()[:8]}"
        if name not in taken:
            yield name


def manifest(policy: MemoryPolicy, name: str, candidate: Candidate) -> dict[str, Any]:
    """Return the PodRoll of one candidate."""
    pod = candidate.target.key
    spec = RollSpecification(
        pod_name=pod.name,
        pod_uid=pod.uid,
        policy=policy.name,
        strategy=policy.spec.roll.strategy,
        replacement_timeout_seconds=int(policy.spec.roll.replacement_timeout.total_seconds()),
        drain=policy.spec.roll.drain,
        evidence=policy.spec.evidence,
        workload=_workload(candidate),
        reason=reason(candidate),
        finding=_finding(candidate),
    )
    return {
        "apiVersion": API_VERSION,
        "kind": "PodRoll",
        "metadata": {"name": name, "namespace": pod.namespace},
        "spec": spec.on_the_wire(),
    }


def _workload(candidate: Candidate) -> WorkloadRef | None:
    """Name the workload from the first moment on: concurrency is counted by it."""
    if candidate.workload is None:
        return None
    top = candidate.workload.top
    return WorkloadRef(api_version=top.api_version, kind=top.kind, name=top.name)


def _finding(candidate: Candidate) -> Finding:
    breach, container = candidate.breach, _container(candidate)
    left_s = None if breach.code is Code.CEILING else breach.time_to_limit_s  # as urgent as can be, but not dying
    return Finding(
        container=candidate.container,
        usage_bytes=int(breach.usage_bytes),
        limit_bytes=candidate.limit_bytes,
        growth_bytes_per_hour=None if breach.trend is None else int(breach.trend.slope_bytes_per_s * 3600),
        time_to_limit_seconds=None if left_s is None else int(left_s),
        container_started=container.started_at,
        image=container.image[:IMAGE_CHARS_MAX],
    )


def _container(candidate: Candidate) -> Container:
    return next(c for c in candidate.target.containers if c.name == candidate.container)


def reason(candidate: Candidate) -> str:
    """Say why this pod is rolled now, with its numbers."""
    found = Assessment(candidate.target, _container(candidate), candidate.breach)
    said = (f"{candidate.container}: {numbers(found)}", candidate.hurried, candidate.outside)
    return "; ".join(part for part in said if part)[:1024]
