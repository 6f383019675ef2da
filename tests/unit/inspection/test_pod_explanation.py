"""The explanation of a pod agrees with what the operator does with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.policy import Mode
from memroll.clients.kube.cluster import KubeCluster
from memroll.errors import NotFoundError
from memroll.inspection.operator_view import read_namespace
from memroll.inspection.pod_explanation import explain_pod
from memroll.inspection.read_only import ReadOnlyCluster
from memroll.model.pod_selection import PodSelection
from memroll.model.pods import ObjectRef, Pod
from memroll.planning.gate_result import Gate
from memroll.planning.gates import GATES
from memroll.rolling.protocols import PodRollStore, PodWriter
from memroll.settings import Settings
from tests.builders import WORKLOAD_REF, at, line, policy_json, roll_json, stamp
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation, leaking


async def explain(sim: Simulation, pod: str = "leaky-1", **settings):
    cluster = ReadOnlyCluster(sim.cluster)
    view = await read_namespace(cluster, "demo", Settings(**settings), at(sim.cluster.seconds))
    return await explain_pod(view, "demo", pod, cluster, sim.prometheus)


MONDAYS = {"allow": [{"days": ["mon"], "start": "03:00", "end": "04:00"}], "whenLimitComesFirst": "Hold"}


def spent_budget(**changes) -> Simulation:
    sim = with_spec(roll={"budgets": [{"rolls": 1, "per": "1h"}]}, **changes)
    times = {"finished": stamp(-60)}
    sim.cluster.rolls_json["leaky-abc-1"] = roll_json("Succeeded", created=at(-90), workload=WORKLOAD_REF, times=times)
    return sim


def protected() -> Simulation:
    sim = leaking()
    pod = sim.cluster.pods["leaky-1"]
    sim.cluster.pods["leaky-1"] = replace(pod, annotations={"memroll.dev/do-not-disrupt": "true"})
    return sim


def not_ready() -> Simulation:
    sim = leaking()
    sim.cluster.pods["leaky-1"] = replace(sim.cluster.pods["leaky-1"], ready=False)
    return sim


class ProtectedNamespace(FakeCluster):
    """Cluster whose namespaces have the annotation that forbids disruptions."""

    async def get_namespace_annotations(self, namespace: str) -> dict[str, str]:
        return {"memroll.dev/do-not-disrupt": "true"}


def selected_by_hash(slope: float = 0.5) -> Simulation:
    sim = with_spec(roll={"strategy": "Surge"})
    sim.cluster.hash_selected_by = "Service chat selects the pod by its label"
    sim.prometheus.by_container["id-leaky-1"] = line(slope, base_mib=110)
    return sim


def in_rollout() -> Simulation:
    sim = leaking()
    sim.cluster.workload_changes = {"rollout_in_progress": "Deployment/leaky is at revision 2"}
    return sim


SIMULATIONS = {
    "due": leaking,
    "protected namespace": lambda: Simulation(ProtectedNamespace(1), FakePrometheus({"id-leaky-1": line(0.5)}), FAST),
    "selected by its hash": selected_by_hash,
    "in a rollout": in_rollout,
    "observed only": lambda: with_spec(mode="Observe"),
    "protected": protected,
    "not ready": not_ready,
    "outside of the windows": lambda: with_spec(roll={"maintenanceWindows": MONDAYS}),
    "no budget": spent_budget,
}


GATE_OF = {
    "due": None,
    "protected namespace": Gate.DO_NOT_DISRUPT,
    "selected by its hash": Gate.UNSUPPORTED,
    "in a rollout": Gate.ROLLOUT_IN_PROGRESS,
    "observed only": Gate.OBSERVE_ONLY,
    "protected": Gate.DO_NOT_DISRUPT,
    "not ready": Gate.POD_NOT_READY,
    "outside of the windows": Gate.OUTSIDE_MAINTENANCE_WINDOW,
    "no budget": Gate.BUDGET,
}


def with_spec(**changes) -> Simulation:
    spec = FAST | changes | ({"roll": FAST["roll"] | changes["roll"]} if "roll" in changes else {})
    return Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), spec)


@pytest.mark.parametrize("name", SIMULATIONS)
async def test_the_blocking_gate_is_that_of_the_operator(name):
    sim = SIMULATIONS[name]()
    found = await explain(sim)
    assert GATE_OF[name] == found.blocking_gate
    assert sim.cluster.writes == [], "an explanation writes nothing"
    before = len(sim.cluster.rolls_json)
    await sim.reconcile()
    assert found.would_roll == (len(sim.cluster.rolls_json) > before)
    blocked = sim.status["atRisk"][0].get("blockedBy")
    if found.would_roll:
        assert blocked is None
        assert found.next_step.startswith("the next reconcile rolls the pod (Surge: ")
    else:
        assert blocked is not None
        assert found.blocking_gate == blocked["gate"]
        assert found.gates[found.blocking_gate].message == blocked["message"]
        assert f"gate {found.blocking_gate} blocks the roll: {blocked['message']}" in found.next_step
    verdict = sim.status["atRisk"][0]
    assert (found.assessments[0].verdict.verdict, found.assessments[0].message) == (
        verdict["verdict"],
        verdict["message"],
    )


async def test_all_gates_are_evaluated_in_order_also_those_after_the_first_that_blocks():
    found = await explain(spent_budget(mode="Observe"))
    assert list(found.gates) == list(GATES)
    assert [gate for gate, result in found.gates.items() if result.blocks] == [Gate.OBSERVE_ONLY, Gate.BUDGET]
    assert found.policy.spec.mode is Mode.OBSERVE


async def test_what_the_operator_reads_for_pods_that_are_due_is_read_for_any_explained_pod():
    sim = selected_by_hash(slope=0.0)
    protected = ProtectedNamespace(1)
    protected.hash_selected_by = sim.cluster.hash_selected_by
    found = await explain(Simulation(protected, sim.prometheus, sim.spec))
    blocks = [gate for gate, result in found.gates.items() if result.blocks]
    assert blocks == [Gate.NOT_DUE, Gate.DO_NOT_DISRUPT, Gate.UNSUPPORTED]
    assert found.gates[Gate.RATE_LIMITED].observed == "0 rolls, 0 of them in the namespace"


async def test_rolls_that_are_planned_before_the_pod_count():
    sim = leaking(2)
    sim.prometheus.by_container["id-leaky-2"] = line(0.5)
    first, second = [await explain(sim, name) for name in ("leaky-1", "leaky-2")]
    assert first.would_roll
    assert second.blocking_gate is Gate.CONCURRENCY


class FirstSelectedByHash(FakeCluster):
    """Cluster of two workloads, of which the first is selected by its template hash."""

    def __init__(self) -> None:
        super().__init__(2)
        other = ObjectRef("apps/v1", "ReplicaSet", "other-5d", "rs-2")
        self.pods["leaky-2"] = replace(self.pods["leaky-2"], controller=other)

    async def find_selection(self, pod: Pod, hash_label: str) -> PodSelection:
        return PodSelection("Service chat selects the pod by its label" if pod.key.name == "leaky-1" else "")


async def test_what_blocks_a_pod_before_it_is_read_as_by_the_operator():
    """The budget is for one roll, and the first pod can't be rolled."""
    spec = FAST | {"roll": FAST["roll"] | {"strategy": "Surge", "budgets": [{"rolls": 1, "per": "1h"}]}}
    samples = {f"id-leaky-{i}": line(0.5) for i in (1, 2)}
    sim = Simulation(FirstSelectedByHash(), FakePrometheus(samples), spec)
    found = await explain(sim, "leaky-2")
    assert (found.would_roll, found.blocking_gate) == (True, None)
    await sim.reconcile()
    assert [r["spec"]["podName"] for r in sim.cluster.rolls_json.values()] == ["leaky-2"]


async def test_a_healthy_pod_is_explained_with_its_checks_and_gates():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=110)}))
    found = await explain(sim)
    assert found.next_step.startswith("nothing: no container is at risk; the next reconcile is within 5s")
    assert found.blocking_gate is Gate.NOT_DUE
    assert not found.containers[0].windows[0].checks[0].passed
    assert all('pod=~"leaky-1"' in query for query in found.queries)
    assert any("container_memory_rss" in query for query in found.queries)


async def test_a_pod_without_samples_is_explained():
    found = await explain(Simulation(FakeCluster(1), FakePrometheus({})))
    assert found.assessments[0].verdict.reason == "NoData"
    assert [c.windows for c in found.containers] == [()]
    assert found.next_step.startswith("nothing: no container is at risk")


async def test_a_suspended_policy_is_named_with_the_command_that_resumes_it():
    found = await explain(with_spec(suspend=True))
    assert found.blocking_gate is Gate.POLICY_SUSPENDED
    assert found.next_step == "nothing: the policy is suspended; 'memroll resume leaky' ends that"


async def test_the_permissions_of_the_operator_count():
    found = await explain(leaking(), allow_acting=False)
    assert found.blocking_gate is Gate.UNSUPPORTED


async def test_the_oldest_policy_that_selects_the_pod_explains_it():
    sim = leaking()
    younger = policy_json(FAST, name="younger", creationTimestamp="2026-03-01T11:00:00Z")
    sim.cluster.policies_json = {"younger": younger} | sim.cluster.policies_json
    assert (await explain(sim)).policy.name == "leaky"


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ("leaky-2", "there is no pod leaky-2 in namespace demo. Did you mean leaky-1?"),
        ("zzz", "there is no pod zzz in namespace demo: check the name and -n"),
    ],
)
async def test_a_missing_pod_is_an_error_with_similar_names(pod, words):
    with pytest.raises(NotFoundError, match=words):
        await explain(leaking(), pod)


async def test_a_pod_of_no_policy_is_an_error_with_the_policies():
    sim = leaking()
    sim.cluster.pods["leaky-1"] = replace(sim.cluster.pods["leaky-1"], deleting=True)
    with pytest.raises(NotFoundError, match=r"none of the policies \(leaky\) selects it. It has ended, or is being"):
        await explain(sim)
    sim.cluster.policies_json["leaky"]["spec"] = {"mode": "None"}
    with pytest.raises(NotFoundError, match="its policies are invalid: leaky"):
        await explain(sim)
    sim.cluster.policies_json.clear()
    with pytest.raises(NotFoundError, match="the namespace has no policy"):
        await explain(sim)


def test_a_read_only_cluster_has_no_method_that_writes():
    writing = {
        name
        for role in (PodWriter, PodRollStore)
        for name in vars(role)
        if not name.startswith("_") and not name.startswith(("list_", "iterate_", "get_"))
    }
    assert {"evict", "create_roll", "release"} <= writing
    readable = set(vars(ReadOnlyCluster(KubeCluster(None))))  # type: ignore[arg-type] # no request is sent
    assert writing & readable == set()
