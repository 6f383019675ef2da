"""Requests of a plan: only a pod that may be rolled now has its workload, its selectors and its namespace read now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from memroll.detection.assessment import Assessment
from memroll.planning.gate_result import Gate
from memroll.reconcile.examine import find_candidates
from memroll.reconcile.plan_rolls import RollPlanner, plan_and_create
from memroll.reconcile.snapshot import PolicySnapshot
from memroll.reconcile.step_memory import StepMemory
from memroll.reconcile.workload_lookup import (
    MAX_WORKLOAD_AGE_S,
    KnownWorkloads,
    WorkloadLookup,
    new_known_workloads,
)
from tests.builders import NOW, container, context, exhausting_verdict, leak_verdict, pod, policy
from tests.fakes import FakeCluster

if TYPE_CHECKING:
    from memroll.planning.plan import Plan

FAR = leak_verdict(90_000, lead_s=3600, due=False)
NEAR = leak_verdict(3700, lead_s=3600, due=False)
DUE = exhausting_verdict(7200.0, 9000.0)
PROTECTED = {"memroll.dev/do-not-disrupt": "true"}


class CountingCluster(FakeCluster):
    """Cluster that counts the reads of which this module reports."""

    def __init__(self) -> None:
        super().__init__(4)
        self.reads: list[str] = []
        self.annotations: dict[str, str] = {}

    async def find_workload(self, *args: Any) -> Any:
        self.reads.append("workload")
        return await super().find_workload(*args)

    async def find_hash_selectors(self, *args: Any) -> list[str]:
        self.reads.append("selectors")
        return await super().find_hash_selectors(*args)

    async def get_namespace_annotations(self, namespace: str) -> dict[str, str]:
        self.reads.append("namespace")
        return self.annotations


async def plan_for(
    cluster: CountingCluster,
    verdicts: list[Any],
    known: KnownWorkloads | None = None,
    age_s: float = 0.0,
    memory: StepMemory | None = None,
    **spec: Any,
) -> Plan:
    watching = policy(**({"mode": "Enforce"} | spec))
    now = NOW + timedelta(seconds=age_s)
    snapshot = PolicySnapshot(watching, (), (), now, workloads=known or new_known_workloads())
    snapshot = replace(snapshot, planned=(memory or StepMemory()).planned)
    found = [Assessment(pod(f"leaky-{i + 1}"), container(), verdict) for i, verdict in enumerate(verdicts)]
    around = context(spec=watching.spec, policy_pods=len(found), watched_pods=len(found), now=now)
    lookup = WorkloadLookup(snapshot, cluster)
    candidates = await find_candidates(snapshot, found, around, lookup)
    plan, _ = await plan_and_create(RollPlanner(snapshot, cluster, lookup, candidates, around), cluster)
    return plan


@pytest.mark.parametrize(
    ("verdicts", "spec", "reads"),
    [
        pytest.param([FAR], {}, [], id="a leak far from its limit"),
        pytest.param([FAR, FAR], {}, ["workload"], id="two of one workload, which are scheduled"),
        pytest.param([DUE], {"mode": "Observe"}, ["workload"], id="a pod that is due, in mode Observe"),
        pytest.param([DUE], {}, ["workload", "namespace", "selectors"], id="a pod that is due"),
        pytest.param([DUE, DUE, FAR], {}, ["workload", "namespace", "selectors"], id="three of one workload: once"),
    ],
)
async def test_only_a_pod_that_may_be_rolled_now_costs_more_than_its_workload(verdicts, spec, reads):
    cluster = CountingCluster()
    await plan_for(cluster, verdicts, **spec)
    assert cluster.reads == reads


async def test_the_workloads_of_pods_that_are_not_due_are_remembered():
    cluster, known = CountingCluster(), new_known_workloads()
    for age_s in (0.0, 300.0, 600.0, MAX_WORKLOAD_AGE_S):
        await plan_for(cluster, [FAR, FAR], known, age_s)
    assert cluster.reads == ["workload"]
    await plan_for(cluster, [FAR, FAR], known, MAX_WORKLOAD_AGE_S + 1)
    assert cluster.reads == ["workload"] * 2


@pytest.mark.parametrize(
    "verdicts",
    [pytest.param([DUE, FAR], id="due by itself"), pytest.param([NEAR, NEAR], id="due because of its peers")],
)
async def test_a_pod_that_is_due_is_not_planned_by_a_remembered_workload(verdicts):
    cluster, known = CountingCluster(), new_known_workloads()
    await plan_for(cluster, [FAR, FAR], known)
    cluster.workload_changes = {"rollout_in_progress": "Deployment/leaky is at revision 2"}
    plan = await plan_for(cluster, verdicts, known, 60.0)
    assert plan.rolls == ()
    gates = [b.gate for b in plan.blocked if b.candidate.due]
    assert gates
    assert set(gates) == {Gate.ROLLOUT_IN_PROGRESS}


@pytest.mark.parametrize("verdicts", [[DUE], [NEAR, NEAR]], ids=["due by itself", "due because of its peers"])
async def test_the_annotations_of_the_namespace_and_the_selectors_block_pods_that_are_due(verdicts):
    cluster = CountingCluster()
    assert (await plan_for(cluster, verdicts)).rolls
    cluster.annotations = PROTECTED
    blocked = await plan_for(cluster, verdicts)
    assert {b.gate for b in blocked.blocked if b.candidate.due} == {Gate.DO_NOT_DISRUPT}
    cluster.annotations, cluster.hash_selected_by = {}, "Service chat selects the pod by its label"
    blocked = await plan_for(cluster, verdicts, roll={"strategy": "Surge"})
    assert {b.gate for b in blocked.blocked if b.candidate.due} == {Gate.UNSUPPORTED}


async def test_a_created_roll_is_remembered_for_its_announcement():
    cluster, memory = CountingCluster(), StepMemory()
    await plan_for(cluster, [DUE, FAR], memory=memory)
    (created,) = cluster.rolls_json.values()
    planned = memory.planned.get((created["metadata"]["namespace"], created["metadata"]["name"]), NOW)
    assert planned is not None
    assert (planned.roll.uid, planned.hash_selector) == (created["metadata"]["uid"], "")
    assert planned.workload is not None
