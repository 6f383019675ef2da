"""Builders of values for tests: each returns a valid default, with the changes that a test specifies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from memroll.api.evidence import Evidence
from memroll.api.pod_roll import EffectResult, PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.detection.container_history import ContainerHistory
from memroll.detection.parameters import DetectionParameters
from memroll.detection.reasons import VerdictReason
from memroll.detection.series import Series
from memroll.detection.verdict import ContainerVerdict, Verdict
from memroll.model.pods import Container, ObjectRef, Pod, PodKey, Workload
from memroll.model.roll_duration import RollDurations
from memroll.model.roll_record import RollRecord
from memroll.planning.candidate import Candidate, Context
from memroll.rolling.actions import CAPTURE_EVIDENCE
from memroll.rolling.observation import Observation, StepInput, Transition
from memroll.rolling.state_machine import next_transition

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MIB = 2**20
LIMIT = 128 * MIB
OUT_OF_RANGE_TIMES = ("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00")
"""Times that RFC 3339 and a CRD allow, but that are not between the years 1 and 9999 in UTC."""


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def policy(**spec: Any) -> MemoryPolicy:
    selector = {} if "targetRef" in spec else {"selector": {"matchLabels": {"app": "leaky"}}}
    body = {"mode": "Enforce", **selector, "interval": "5s"} | spec
    return MemoryPolicy.read(policy_json(body))


def policy_json(spec: dict[str, Any], name: str = "leaky", **meta: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "demo",
        "uid": f"policy-{name}",
        "generation": 1,
        "resourceVersion": "7",
        "creationTimestamp": "2026-03-01T10:00:00Z",
    }
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "MemoryPolicy",
        "metadata": metadata | meta,
        "spec": spec,
    }


def container(**changes: Any) -> Container:
    return replace(Container("app", "c0ffee", LIMIT, at(-180)), **changes)


def pod(name: str = "leaky-abc", **changes: Any) -> Pod:
    built = Pod(
        key=PodKey("demo", name, f"uid-{name}"),
        resource_version="11",
        created_at=at(-185),
        phase="Running",
        ready=True,
        ready_at=at(-180),
        deleting=False,
        controller=ObjectRef("apps/v1", "ReplicaSet", "leaky-5d", "rs-1"),
        labels={"app": "leaky", "pod-template-hash": "5d"},
        containers=(container(),),
    )
    return replace(built, **changes)


def workload(**changes: Any) -> Workload:
    built = Workload(
        owner=ObjectRef("apps/v1", "Deployment", "leaky", "deploy-1"),
        controller=ObjectRef("apps/v1", "ReplicaSet", "leaky-5d", "rs-1"),
        controller_replicas=1,
        replicas=1,
        hash_label="pod-template-hash",
        selector="app=leaky",
        controller_uids=frozenset({"rs-1"}),
    )
    return replace(built, **changes)


def leak_verdict(
    time_to_limit_s: float | None = 20.0, *, lead_s: float | None = 30.0, due: bool = True
) -> ContainerVerdict:
    return ContainerVerdict(
        Verdict.LEAKING, VerdictReason.LEAKING, "grows like a leak", 110.0 * MIB, None, time_to_limit_s, lead_s, due
    )


def exhausting_verdict(time_to_limit_s: float, lead_s: float | None = None, *, due: bool = True) -> ContainerVerdict:
    return ContainerVerdict(
        Verdict.EXHAUSTING, VerdictReason.EXHAUSTING, "", 100.0 * MIB, None, time_to_limit_s, lead_s, due
    )


def above_threshold_verdict(
    usage_bytes: float = 100.0 * MIB, *, message: str = "", due: bool = True
) -> ContainerVerdict:
    reason = VerdictReason.ABOVE_THRESHOLD
    return ContainerVerdict(Verdict.HEALTHY, reason, message, usage_bytes, time_to_limit_s=0.0, due=due)


def healthy_verdict(reason: VerdictReason = VerdictReason.NOT_GROWING) -> ContainerVerdict:
    return ContainerVerdict(Verdict.HEALTHY, reason, "", 1.0)


def suspected_verdict() -> ContainerVerdict:
    return ContainerVerdict(Verdict.SUSPECTED, VerdictReason.SUSPECTED, "", 1.0)


def inconclusive_verdict(
    reason: VerdictReason = VerdictReason.NO_DATA, message: str = "no samples"
) -> ContainerVerdict:
    return ContainerVerdict(Verdict.INCONCLUSIVE, reason, message)


def candidate(**changes: Any) -> Candidate:
    built = Candidate(pod(), "app", leak_verdict(), LIMIT, workload=workload())
    return replace(built, **changes)


def context(*podrolls: PodRoll, **changes: Any) -> Context:
    rolls = records(*podrolls)
    spec = changes.pop("spec", None) or policy(**changes.pop("policy", {})).spec
    durations = RollDurations.measure("leaky", spec.roll.drain, rolls)
    return replace(Context("leaky", spec, rolls, NOW, durations, policy_pods=100), **changes)


def records(*rolls: PodRoll | RollRecord) -> tuple[RollRecord, ...]:
    """Return the records of PodRolls."""
    return tuple(r if isinstance(r, RollRecord) else RollRecord.of(r) for r in rolls)


def roll_json(phase: str | None = None, *, created: datetime = NOW, spec: Any = None, **status: Any) -> dict[str, Any]:
    body = {"podName": "leaky-abc", "podUID": "uid-leaky-abc", "policy": "leaky", "reason": "app: leaks"}
    return {
        "apiVersion": "memroll.dev/v1alpha1",
        "kind": "PodRoll",
        "metadata": {
            "name": "leaky-abc-1",
            "namespace": "demo",
            "uid": "roll-1",
            "resourceVersion": "3",
            "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "spec": body | (spec or {}),
        "status": status | ({"phase": phase} if phase else {}),
    }


def roll(phase: str | None = None, **parts: Any) -> PodRoll:
    return PodRoll.read(roll_json(phase, **parts))


WORKLOAD_REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}


def ended_roll(phase: str, seconds: float, **parts: Any) -> PodRoll:
    """Build a roll of the workload that ended `seconds` from NOW."""
    stamp = at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
    return roll(phase, created=at(seconds - 10), workload=WORKLOAD_REF, times={"finished": stamp}, **parts)


TRIGGER = {"container": "app", "usageBytes": 110 * MIB, "limitBytes": LIMIT, "image": "leaky:1"}


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def succeeded_roll(
    seconds: float = 0.0, *, lifetime_s: float | None = 1000.0, trigger: dict[str, Any] | None = None, **status: Any
) -> PodRoll:
    """Build a successful roll that ended `seconds` from NOW, of a container with an age of `lifetime_s`."""
    started = {} if lifetime_s is None else {"containerStarted": stamp(seconds - 10 - lifetime_s)}
    spec = {"trigger": TRIGGER | started | (trigger or {})}
    parts = {
        "strategy": "Surge",
        "replacement": {"name": "leaky-2", "uid": "uid-leaky-2"},
        "workload": WORKLOAD_REF,
        "times": {"finished": stamp(seconds)},
    }
    return roll("Succeeded", created=at(seconds - 10), spec=spec, **(parts | status))


def measured_roll(result: EffectResult | None, seconds: float, **parts: Any) -> PodRoll:
    """Build a successful roll that ended, and whose effect was measured, `seconds` from NOW."""
    effect = {"beforeBytes": 110 * MIB, "afterBytes": 108 * MIB, "comparedAt": stamp(seconds)}
    release = {"hashLabel": "pod-template-hash", "templateHash": parts.pop("hash", "5d")}
    effect |= {"result": result.value} if result else {}
    return succeeded_roll(seconds, effect=effect, **({"release": release} | parts))


def advance(roll: PodRoll, observation: Observation, now: datetime) -> Transition:
    """Make the next step; after one that captures evidence, also the step that follows it."""
    transition = next_transition(StepInput(roll, observation, now))
    if CAPTURE_EVIDENCE not in transition.actions:
        return transition
    status = transition.status.model_copy(update={"evidence": Evidence(captured_at=now)})
    return next_transition(StepInput(roll.model_copy(update={"status": status}), observation, now))


def after_steps(roll: PodRoll, *observations: Observation, seconds: float = 0) -> PodRoll:
    """Make one step for each observation, at `seconds` from NOW."""
    for observation in observations:
        roll = roll.model_copy(update={"status": advance(roll, observation, at(seconds)).status})
    return roll


def line(
    rate_mib_per_s: float, *, age_s: int = 180, base_mib: float = 20.0, step_s: int = 5, ahead_s: int = 0
) -> Series:
    """Build a straight line that ends `ahead_s` seconds after NOW."""
    ages = np.arange(0, age_s + ahead_s + 1, step_s, dtype=float)
    built = series(ages, base_mib + rate_mib_per_s * ages)
    return Series(built.times_s + ahead_s, built.values)


def series(ages_s: Any, mib: Any) -> Series:
    """Build a series from ages (seconds since the start) and MiB; the last age is NOW."""
    ages = np.asarray(ages_s, dtype=float)
    return Series(NOW.timestamp() - ages[-1] + ages, np.asarray(mib, dtype=float) * MIB)


def parameters(**changes: Any) -> DetectionParameters:
    # 50 % of 128 MiB an hour
    return replace(DetectionParameters(64 * MIB / 3600, window_s=60, warm_up_s=20, for_s=10), **changes)


def history(samples: Series, **changes: Any) -> ContainerHistory:
    built = ContainerHistory(samples, samples, started_at_s=float(samples.times_s[0]), limit_bytes=LIMIT)
    return replace(built, **changes)
