"""Values for tests: each builder makes a usable one, and the test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from memroll.api.evidence import Evidence
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.detection.series import Series
from memroll.detection.verdict import Breach, Code, Rule, Subject
from memroll.model.pods import Container, ObjectRef, PodKey, Target, Workload
from memroll.planning.candidate import Candidate, Context
from memroll.rolling.observation import Act, Observed, Step
from memroll.rolling.state_machine import next_step

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MIB = 2**20
LIMIT = 128 * MIB


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


def pod(name: str = "leaky-abc", **changes: Any) -> Target:
    made = Target(
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
    return replace(made, **changes)


def workload(**changes: Any) -> Workload:
    made = Workload(
        top=ObjectRef("apps/v1", "Deployment", "leaky", "deploy-1"),
        controller=ObjectRef("apps/v1", "ReplicaSet", "leaky-5d", "rs-1"),
        desired=1,
        replicas=1,
        hash_label="pod-template-hash",
        selector="app=leaky",
        family=frozenset({"rs-1"}),
    )
    return replace(made, **changes)


def breach(time_to_limit_s: float | None = 20.0, *, lead_s: float | None = 30.0, due: bool = True) -> Breach:
    return Breach(Code.GROWING, "grows like a leak", None, 110.0 * MIB, time_to_limit_s, lead_s, due)


def candidate(**changes: Any) -> Candidate:
    made = Candidate(pod(), "app", breach(), LIMIT, workload=workload())
    return replace(made, **changes)


def context(*rolls: PodRoll, **changes: Any) -> Context:
    spec = changes.pop("spec", None) or policy(**changes.pop("policy", {})).spec
    return replace(Context("leaky", spec, rolls, NOW), **changes)


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


def ended(phase: str, seconds: float, **parts: Any) -> PodRoll:
    """Build a roll of the workload that ended `seconds` from NOW."""
    stamp = at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
    return roll(phase, created=at(seconds - 10), workload=WORKLOAD_REF, times={"finished": stamp}, **parts)


def onward(roll: PodRoll, seen: Observed, now: datetime) -> Step:
    """Make the next step; one that captures evidence finds some, and is followed by the one after it."""
    step = next_step(roll, seen, now)
    if Act.CAPTURE not in step.acts:
        return step
    found = step.status.model_copy(update={"evidence": Evidence(captured_at=now)})
    return next_step(roll.model_copy(update={"status": found}), seen, now)


def line(
    rate_mib_per_s: float, *, age_s: int = 180, base_mib: float = 20.0, step_s: int = 5, ahead_s: int = 0
) -> Series:
    """Build a straight line that ends at NOW, or goes on for so many seconds after it."""
    ages = np.arange(0, age_s + ahead_s + 1, step_s, dtype=float)
    made = series(ages, base_mib + rate_mib_per_s * ages)
    return Series(made.times_s + ahead_s, made.values)


def series(ages_s: Any, mib: Any) -> Series:
    """Build a series from ages (seconds since the start) and MiB; the last age is NOW."""
    ages = np.asarray(ages_s, dtype=float)
    return Series(NOW.timestamp() - ages[-1] + ages, np.asarray(mib, dtype=float) * MIB)


def rule(**changes: Any) -> Rule:
    # 50 % of 128 MiB an hour
    return replace(Rule(64 * MIB / 3600, window_s=60, warm_up_s=20, persist_s=10), **changes)


def subject(samples: Series, **changes: Any) -> Subject:
    made = Subject(samples, samples, started_at_s=float(samples.times_s[0]), limit_bytes=LIMIT)
    return replace(made, **changes)
