"""Names and manifests of the PodRolls for planned rolls, with the numbers for which each roll was planned.

`reconcile.create_rolls` creates them.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any

from memroll.api import API_VERSION
from memroll.api.base import MAX_IMAGE_CHARS, WorkloadRef
from memroll.api.evidence import MAX_NUMBER
from memroll.api.pod_roll import MAX_REPLACEMENT_TIMEOUT_S, PodRollSpec, RollTrigger
from memroll.api.quantity import format_duration, humanize_duration
from memroll.api.roll_spec import HoldOrEvict, Strategy
from memroll.detection.assessment import Assessment, describe_growth

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from memroll.api.policy import MemoryPolicy
    from memroll.model.pods import Container, PodKey
    from memroll.model.roll_record import RollRecord
    from memroll.planning.candidate import Candidate

MAX_POD_NAME_CHARS = 240
"""Maximum length of the pod's name in the name of its PodRoll, in characters."""
MAX_REASON_CHARS = 1024
"""Maximum length of `spec.reason`, in characters."""
START_MARGIN = 1.5
"""Ratio of a longer replacement timeout to the known time to become Ready: starts vary. Chosen by hand."""
MAX_TIMEOUT_RATIO = 4
"""Maximum ratio of a longer replacement timeout to the policy's. Chosen by hand."""


def roll_names(pod: PodKey, rolls: Iterable[RollRecord]) -> Iterator[str]:
    """Yield names for the next PodRoll of a pod, in order of preference. Every operator gets the same names.

    They are derived from the UID of the pod's newest PodRoll, so that the next roll gets another name, no matter which
    older PodRolls have been deleted. Names of PodRolls in `rolls` are skipped. Only if the newest PodRoll itself was
    deleted does its name come again.
    """
    rolls = tuple(rolls)
    newest = max((r for r in rolls if r.pod_uid == pod.uid), key=lambda r: (r.created_at, r.uid), default=None)
    taken = {r.name for r in rolls}
    prefix = pod.name[:MAX_POD_NAME_CHARS].rstrip("-.")
    for number in itertools.count():
        attempt = f"{pod.uid}/{newest.uid if newest else ''}/{number}"
        name = f"{prefix}-{hashlib.sha256(attempt.encode()).hexdigest()[:8]}"
        if name not in taken:
            yield name


def pod_roll_manifest(policy: MemoryPolicy, name: str, candidate: Candidate) -> dict[str, Any]:
    """Build the PodRoll of one candidate."""
    pod = candidate.pod.key
    spec = PodRollSpec(
        pod_name=pod.name,
        pod_uid=pod.uid,
        policy=policy.name,
        strategy=Strategy.EVICT if candidate.evicted_because else policy.spec.roll.strategy,
        during_rollout=policy.spec.roll.during_rollout if candidate.evicted_because else HoldOrEvict.HOLD,
        replacement_timeout_seconds=replacement_timeout_s(policy, candidate),
        settle_seconds=int(policy.spec.roll.settle.total_seconds()),
        drain=policy.spec.roll.drain,
        evidence=policy.spec.evidence,
        workload=owner_ref(candidate),
        reason=roll_reason(policy, candidate),
        trigger=_trigger(candidate),
    )
    return {
        "apiVersion": API_VERSION,
        "kind": "PodRoll",
        "metadata": {"name": name, "namespace": pod.namespace},
        "spec": spec.to_dict(),
    }


def replacement_timeout_s(policy: MemoryPolicy, candidate: Candidate) -> int:
    """Return the replacement timeout in seconds: the policy's, or a longer one for pods that are known to need it."""
    timeout_s = int(policy.spec.roll.replacement_timeout.total_seconds())
    start_s = candidate.known_start_s
    if start_s is None or start_s <= timeout_s:
        return timeout_s
    return int(min(START_MARGIN * start_s, MAX_TIMEOUT_RATIO * timeout_s, MAX_REPLACEMENT_TIMEOUT_S))


def _why_longer(policy: MemoryPolicy, candidate: Candidate) -> str:
    """Return why the replacement timeout is longer than the policy's, or an empty string."""
    timeout_s, start_s = replacement_timeout_s(policy, candidate), candidate.known_start_s
    if start_s is None or timeout_s <= policy.spec.roll.replacement_timeout.total_seconds():
        return ""
    own, longer = format_duration(policy.spec.roll.replacement_timeout), humanize_duration(timeout_s)
    reason = f"replacementTimeout {longer} instead of {own}: its pods become Ready in {humanize_duration(start_s)}"
    return f"{reason}, set a longer roll.replacementTimeout" if start_s > timeout_s else reason


def owner_ref(candidate: Candidate) -> WorkloadRef | None:
    """Return the workload; it is in a PodRoll's spec, because concurrency is counted before the roll has a status."""
    if candidate.workload is None:
        return None
    owner = candidate.workload.owner
    return WorkloadRef(api_version=owner.api_version, kind=owner.kind, name=owner.name)


def _trigger(candidate: Candidate) -> RollTrigger:
    """Return the numbers for which the pod is rolled."""
    verdict, container, duration_s = candidate.verdict, _container(candidate), candidate.roll_duration_s
    assert verdict.usage_bytes is not None, "a container at risk has samples"
    # A pod above the usage threshold is due at once, but not about to be OOM-killed: it has time for a replacement.
    left_s = None if verdict.is_above_threshold else verdict.time_to_limit_s
    return RollTrigger(
        container=candidate.container,
        usage_bytes=int(verdict.usage_bytes),
        limit_bytes=candidate.limit_bytes,
        growth_bytes_per_hour=None if verdict.trend is None else int(verdict.trend.slope_bytes_per_s * 3600),
        time_to_limit_seconds=None if left_s is None else int(min(left_s, MAX_NUMBER)),
        expected_roll_seconds=None if duration_s is None else int(min(duration_s, MAX_NUMBER)),
        container_started=container.started_at,
        image=container.image[:MAX_IMAGE_CHARS],
    )


def _container(candidate: Candidate) -> Container:
    return next(c for c in candidate.pod.containers if c.name == candidate.container)


def roll_reason(policy: MemoryPolicy, candidate: Candidate) -> str:
    """Return why this pod is rolled now, with its numbers."""
    assessment = Assessment(candidate.pod, _container(candidate), candidate.verdict)
    parts = (
        f"{candidate.container}: {describe_growth(assessment)}",
        candidate.advanced_because,
        candidate.outside_window_because,
        candidate.evicted_because,
        _why_longer(policy, candidate),
    )
    return "; ".join(part for part in parts if part)[:MAX_REASON_CHARS]
