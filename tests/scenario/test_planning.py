"""Reconciles that plan: maintenance windows, canaries, and the rate limit that stops a defective detector."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memroll.controller.key import Key
from memroll.detection.assess import Assessor
from memroll.detection.assessment import Assessment
from memroll.errors import ClusterUnavailableError
from memroll.model.roll_record import RollRecord
from memroll.planning.rate_limit import RollRateLimit
from memroll.reconcile.retention import delete_expired
from memroll.reporting.events import EventReason
from memroll.reporting.metrics import Metrics
from memroll.rolling import retention
from tests.builders import at, container, leak_verdict, line, pod, policy_json, roll_json, workload
from tests.fakes import FakeCluster, FakeEventRecorder, FakePrometheus
from tests.scenario.simulation import FAST, Controllers, Simulation, controllers, leaking

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from memroll.model.pods import ObjectRef, Pod, Workload

FOUR = tuple(f"leaky-{i}" for i in (1, 2, 3, 4))


def rolling(spec: dict[str, Any], **roll: Any) -> dict[str, Any]:
    return spec | {"roll": spec["roll"] | roll}


def slow(spec: dict[str, Any], names: Sequence[str] = ("leaky-1",)) -> Simulation:
    """Simulate pods that have leaked for ten minutes, each a minute longer than the one before, with the same rate."""
    cluster, samples = FakeCluster(len(names)), {}
    for i, name in enumerate(names):
        age_s = 600 + 60 * i
        old = cluster.pods[name]
        cluster.pods[name] = replace(old, containers=(replace(old.containers[0], started_at=at(-age_s)),))
        samples[f"id-{name}"] = line(0.08, age_s=age_s, ahead_s=60)
    return Simulation(cluster, FakePrometheus(samples), spec)


def only(sim: Simulation) -> dict[str, Any]:
    (recorded,) = sim.cluster.rolls_json.values()
    return recorded


NEVER_NOW = {"allow": [{"start": "13:00", "end": "14:00"}]}
ONE_MINUTE = {"allow": [{"start": "12:00", "end": "12:01"}]}


async def test_outside_the_windows_a_pod_is_rolled_if_its_limit_comes_first():
    sim = leaking()
    sim.cluster.policies_json["leaky"] = policy_json(rolling(FAST, maintenanceWindows=NEVER_NOW))
    await sim.reconcile()
    assert only(sim)["spec"]["reason"].endswith(
        "; outside the maintenance windows:"
        " the pod would reach its limit before the next one opens at 2026-03-01T13:00:00Z"
    )


async def test_with_whenlimitcomesfirst_hold_the_pod_is_blocked_and_reported():
    sim = leaking()
    sim.cluster.policies_json["leaky"] = policy_json(
        rolling(FAST, maintenanceWindows=NEVER_NOW | {"whenLimitComesFirst": "Hold"})
    )
    await sim.reconcile()
    expected = (
        "outside the maintenance windows: the next one opens at 2026-03-01T13:00:00Z"
        ", after the pod reaches its limit, and whenLimitComesFirst is Hold"
    )
    assert sim.cluster.rolls_json == {}
    assert sim.blocked_message == expected
    assert "RollBlocked" in sim.recorder.reasons("Deployment")


async def test_a_leak_with_a_deadline_outside_the_windows_is_rolled_in_the_window_before():
    sim = slow(rolling(FAST, maintenanceWindows=ONE_MINUTE))
    await sim.reconcile()
    assert (
        "before its deadline: the last maintenance window before it closes at 2026-03-01T12:01:00Z"
        in only(sim)["spec"]["reason"]
    )
    waits = slow(FAST)
    await waits.reconcile()
    assert waits.cluster.rolls_json == {}, "without windows it is not due"


async def test_of_peers_at_risk_a_canary_is_rolled_first_and_the_others_after_it_was_effective():
    sim = slow(rolling(FAST, maintenanceWindows=ONE_MINUTE, budgets=[]), FOUR)
    await sim.reconcile()
    first = only(sim)
    assert first["spec"]["podName"] == "leaky-4", "the one with the least remaining time"
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]
    sim.cluster.seconds = 30
    await sim.reconcile()
    messages = {pod["pod"]: pod["blockedBy"]["message"] for pod in sim.status["atRisk"] if pod["verdict"] == "Leaking"}
    expected = "3 of 4 pods are at risk at once: waiting until the roll of leaky-4 proves effective"
    assert messages == dict.fromkeys(FOUR[:3], expected)
    name = first["metadata"]["name"]
    sim.cluster.rolls_json[name]["status"]["effect"] = {"result": "Effective"}
    await sim.reconcile()
    assert [r["spec"]["podName"] for r in sim.cluster.rolls_json.values()] == ["leaky-4", "leaky-3"]


async def test_a_podroll_created_during_the_reconcile_counts():
    """The plan uses the PodRolls at the time when it is recorded, not those at the start of the reconcile."""
    sim = leaking()
    unpatched = sim.cluster.list_rolls
    mine = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
    other = roll_json("Replacing", spec={"podName": "leaky-9", "podUID": "another"}, workload=mine)

    async def list_rolls(namespace: str) -> tuple[dict[str, Any], ...]:
        found = await unpatched(namespace)
        sim.cluster.rolls_json["by-hand"] = other
        return found

    sim.cluster.list_rolls = list_rolls
    await sim.reconcile()
    assert list(sim.cluster.rolls_json) == ["by-hand"]
    assert "concurrent rolls" in sim.blocked_message


async def test_podrolls_are_counted_only_if_a_roll_is_planned():
    sim = leaking()
    sim.cluster.policies_json["leaky"] = policy_json(FAST | {"mode": "Observe"})
    listed: list[str] = []
    list_all = sim.cluster.list_rolls

    async def list_rolls(namespace: str) -> tuple[dict[str, Any], ...]:
        listed.append(namespace)
        return await list_all(namespace)

    sim.cluster.list_rolls = list_rolls
    await sim.reconcile()
    assert listed == ["demo"]
    sim.cluster.policies_json["leaky"] = policy_json(FAST)
    await sim.reconcile()
    assert listed == ["demo", "demo", ""]


async def test_without_a_count_nothing_is_rolled():
    sim = leaking()
    listed = sim.cluster.list_rolls

    async def list_rolls(namespace: str) -> tuple[dict[str, Any], ...]:
        if not namespace:
            raise ClusterUnavailableError("Timeout", "the API server did not answer")
        return await listed(namespace)

    sim.cluster.list_rolls = list_rolls
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.condition("Ready")[:2] == ("False", "Timeout")


async def test_a_process_that_loses_the_lease_during_the_assessment_creates_no_podroll():
    sim = leaking()
    leadership = iter([True, True])
    sim.change_context(leads=lambda: next(leadership, False))
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.blocked_message == "this process does not hold the Lease: another replica rolls the pods"


async def test_a_lease_lost_before_the_creation_prevents_it():
    sim = leaking()
    leadership = iter([True] * 3)
    sim.change_context(leads=lambda: next(leadership, False))
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.blocked_message == "the Lease was lost before its PodRoll was created: the new leader continues"
    sim.restart()
    await sim.reconcile()
    assert len(sim.cluster.rolls_json) == 1


# A defective detector


class LargeCluster(FakeCluster):
    """Cluster with many workloads in many namespaces, with four pods each."""

    def __init__(self, namespaces: Sequence[str], workloads_in_each: int) -> None:
        super().__init__(0)
        self.keys = [Key(n, f"{n}-app-{i}") for n in namespaces for i in range(workloads_in_each)]
        self.pods_of = {key: tuple(_pod_of(key, i) for i in range(4)) for key in self.keys}
        for key in self.keys:
            self.policies_json[key.name] = _unlimited_policy(key)

    async def list_pods(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        await asyncio.sleep(0)
        return self.pods_of[Key(namespace, selector.removeprefix("app="))]

    async def list_all_pods(self, namespace: str, max_pods: int) -> tuple[Pod, ...] | None:
        await asyncio.sleep(0)
        return tuple(p for key, pods in self.pods_of.items() if key.namespace == namespace for p in pods)

    async def find_workload(self, namespace: str, controller: ObjectRef) -> Workload | None:
        top = replace(workload().owner, name=controller.name)
        return workload(controller_replicas=4, owner=top, controller=controller)

    async def list_policies(self, namespaces: Sequence[str]) -> tuple[dict[str, Any], ...]:
        return tuple(p for p in self.policies_json.values() if p["metadata"]["namespace"] in namespaces)

    async def list_rolls(self, namespace: str) -> tuple[dict[str, Any], ...]:
        await asyncio.sleep(0)
        return tuple(r for r in self.rolls_json.values() if namespace in ("", r["metadata"]["namespace"]))

    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return await super().create_roll(namespace, manifest)

    def finish_all(self) -> None:
        """End every roll at once; the replacements are at risk as well."""
        for raw in self.rolls_json.values():
            raw["status"] = {"phase": "Succeeded"}
        for key, pods in self.pods_of.items():
            self.pods_of[key] = tuple(replace(p, key=replace(p.key, uid=p.key.uid + "+")) for p in pods)

    def rolls_in(self, namespace: str) -> int:
        return sum(1 for r in self.rolls_json.values() if r["metadata"]["namespace"] == namespace)


def _pod_of(key: Key, index: int) -> Pod:
    made = pod(f"{key.name}-{index}", controller=replace(workload().controller, name=key.name, uid=f"rs-{key.name}"))
    return replace(made, key=replace(made.key, namespace=key.namespace), labels=made.labels | {"app": key.name})


def _unlimited_policy(key: Key) -> dict[str, Any]:
    unlimited = {"budgets": [], "cooldown": "0s", "maxConcurrent": "100%"}
    spec = {"mode": "Enforce", "selector": {"matchLabels": {"app": key.name}}, "roll": unlimited}
    return policy_json(spec, name=key.name, namespace=key.namespace)


async def everything_is_at_risk(assessor: Assessor, _: object) -> tuple[Assessment, ...]:
    """Assess as a defective detector does: every pod is due."""
    await asyncio.sleep(0)
    return tuple(Assessment(t, container(), leak_verdict(5.0)) for t in assessor.pods)


class DefectiveOperator:
    """Operator whose detector finds every pod due."""

    def __init__(self, cluster: LargeCluster, rate_limit: RollRateLimit, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Assessor, "assess", everything_is_at_risk)
        self.cluster, self.rate_limit = cluster, rate_limit
        self.recorder, self.metrics = FakeEventRecorder(), Metrics()

    def restarted(self) -> Controllers:
        return controllers(
            self.cluster, FakePrometheus({}), rate_limit=self.rate_limit, events=self.recorder, metrics=self.metrics
        )

    async def run(self, rounds: int = 1) -> None:
        """Reconcile all policies concurrently, each time with an operator that was just restarted."""
        for _ in range(rounds):
            policies = self.restarted().policies
            await asyncio.gather(*(policies.reconcile(key) for key in self.cluster.keys))
            self.cluster.finish_all()


NAMESPACES = tuple(f"team-{i}" for i in range(50))


async def test_fifty_policies_that_plan_to_roll_every_pod_are_stopped_at_the_rate_limit(monkeypatch):
    operator = DefectiveOperator(LargeCluster(NAMESPACES, 1), RollRateLimit(), monkeypatch)
    await operator.run()
    assert len(operator.cluster.rolls_json) == 30, "of 200 pods"
    await operator.run(rounds=2)
    assert len(operator.cluster.rolls_json) == 30, "restarts do not reset the count"
    events = [e for e in operator.recorder.events if e.reason is EventReason.ROLL_RATE_LIMITED]
    assert {e.regarding.name for e in events} == {key.name for key in operator.cluster.keys}
    assert events[-1].message == (
        "The roll rate limit blocks the roll until 2026-03-01T13:00:00Z: 30 rolls within an hour, at most 30:"
        " check `kubectl get podrolls -A` before you raise rollRateLimit.maxRollsPerHour"
    )
    assert {e.type.value for e in events} == {"Warning"}
    key = operator.cluster.keys[0]
    labels = {"namespace": key.namespace, "policy": key.name}
    assert operator.metrics.registry.get_sample_value("memroll_roll_rate_limited", labels) == 1
    operator.cluster.seconds = 3600
    await operator.run(rounds=2)
    assert len(operator.cluster.rolls_json) == 60, "rolls are allowed again after an hour"


async def test_one_namespace_never_exceeds_its_ratio(monkeypatch):
    operator = DefectiveOperator(
        LargeCluster(("team-1", "team-2"), 10), RollRateLimit(max_rolls_per_hour=10_000), monkeypatch
    )
    await operator.run(rounds=4)
    assert operator.cluster.rolls_in("team-1") == 20, "half of 40 pods"
    assert operator.cluster.rolls_in("team-2") == 20


async def test_a_small_namespace_has_a_minimum_of_rolls(monkeypatch):
    operator = DefectiveOperator(LargeCluster(NAMESPACES[:4], 1), RollRateLimit(max_rolls_per_hour=10_000), monkeypatch)
    await operator.run(rounds=4)
    assert [operator.cluster.rolls_in(n) for n in NAMESPACES[:4]] == [3, 3, 3, 3]


async def test_podrolls_of_the_last_hour_are_retained_whatever_their_number(monkeypatch):
    monkeypatch.setattr(retention, "MAX_FINISHED_ROLLS", 5)
    operator = DefectiveOperator(LargeCluster(("team-1",), 10), RollRateLimit(max_rolls_per_hour=10_000), monkeypatch)
    await operator.run(rounds=4)
    made = [w for w in operator.cluster.writes if w.startswith("create")]
    assert len(made) == operator.cluster.rolls_in("team-1") == 20, (
        "with fewer PodRolls the rate limit would count too few"
    )
    for seconds, kept in ((operator.cluster.seconds, 20), (3601, 5)):
        listed = [RollRecord.read(raw) for raw in operator.cluster.rolls_json.values()]
        await delete_expired([listed], operator.cluster, at(seconds), at(seconds))
        assert operator.cluster.rolls_in("team-1") == kept
