"""Candidates of a reconcile: the most urgent container of each pod, and the lookup of its workload."""

from __future__ import annotations

import pytest

from memroll.detection.assessment import Assessment
from memroll.errors import TerminalError
from memroll.model.pods import ObjectRef
from memroll.reconcile.examine import find_candidates
from memroll.reconcile.snapshot import PolicySnapshot
from memroll.reconcile.workload_lookup import WorkloadLookup
from tests.builders import NOW, container, context, exhausting_verdict, leak_verdict, pod, policy, workload

FAR = leak_verdict(90_000, lead_s=3600, due=False)
DOUBTED = leak_verdict(1800, lead_s=3600, due=False)
EXHAUSTING = exhausting_verdict(7200.0, 9000.0)


BY_HASH = "Service chat selects the pod by its label pod-template-hash"


class Lookup:
    def __init__(self, **changes):
        self.asked = []
        self.services_asked = 0
        self.workload = workload(**changes)

    async def find_workload(self, namespace, controller):
        self.asked.append(controller.name)
        return self.workload

    async def find_hash_selectors(self, namespace, pods):
        self.services_asked += 1
        return [self.selector_of(target) for target, _ in pods]

    def selector_of(self, target):
        return BY_HASH


async def find_in(cluster, assessments, **spec):
    watching = policy(**spec)
    around = context(spec=watching.spec, policy_pods=len(assessments))
    snapshot = PolicySnapshot(watching, (), (), NOW)
    return await find_candidates(snapshot, assessments, around, WorkloadLookup(snapshot, cluster))


async def complete_in(cluster, assessments, **spec):
    """Find the candidates, and complete them as those that are due."""
    lookup = WorkloadLookup(PolicySnapshot(policy(**spec), (), (), NOW), cluster)
    return await lookup.complete(await find_in(cluster, assessments, **spec))


async def find(*assessments, **spec):
    cluster = Lookup()
    return await find_in(cluster, assessments, **spec), cluster.asked


async def test_a_due_container_is_more_urgent_than_one_nearer_its_limit():
    app, sidecar = container(), container(name="sidecar")
    for order in ((app, DOUBTED), (sidecar, EXHAUSTING)), ((sidecar, EXHAUSTING), (app, DOUBTED)):
        (found,), _ = await find(*(Assessment(pod(), c, verdict) for c, verdict in order))
        assert (found.container, found.due) == ("sidecar", True)


async def test_the_container_nearer_its_limit_is_more_urgent():
    app, sidecar = Assessment(pod(), container(), FAR), Assessment(pod(), container(name="sidecar"), DOUBTED)
    (found,), _ = await find(app, sidecar)
    assert found.container == "sidecar"


@pytest.mark.parametrize(
    ("verdicts", "windows", "asked"),
    [
        pytest.param([EXHAUSTING], None, ["leaky-5d"], id="a pod that is due"),
        pytest.param([EXHAUSTING] * 3, None, ["leaky-5d"], id="three of one workload: once"),
        pytest.param([FAR], None, [], id="a leak far from its limit, with nothing that could move it"),
        pytest.param([FAR], {}, ["leaky-5d"], id="the same with windows"),
        pytest.param([FAR, DOUBTED], None, ["leaky-5d"], id="with a sibling that leaks"),
        pytest.param([DOUBTED], {}, [], id="one that the judgement doubts"),
    ],
)
async def test_a_workload_is_looked_up_for_pods_that_may_be_due(verdicts, windows, asked):
    spec = {} if windows is None else {"roll": {"maintenanceWindows": windows}}
    found = [Assessment(pod(f"p{i}"), container(), verdict) for i, verdict in enumerate(verdicts)]
    assert (await find(*found, **spec))[1] == asked


@pytest.mark.parametrize(("rolls", "asked"), [(2, []), (1, ["rs-0", "rs-1"])])
async def test_workloads_that_share_a_scarce_budget_are_looked_up(rolls, asked):
    controllers = [ObjectRef("apps/v1", "ReplicaSet", f"rs-{i}", f"uid-{i}") for i in range(2)]
    found = [Assessment(pod(c.name, controller=c), container(), FAR) for c in controllers]
    _, looked_up = await find(*found, roll={"budgets": [{"rolls": rolls, "per": "24h"}]})
    assert looked_up == asked


async def looked_up(strategy: str = "Auto", **changes):
    cluster = Lookup(**changes)
    two = [Assessment(pod(f"p{i}"), container(), EXHAUSTING) for i in range(2)]
    return await complete_in(cluster, two, roll={"strategy": strategy}), cluster.services_asked


async def test_the_hash_selector_is_looked_up_once_per_workload():
    found, asked = await looked_up()
    assert ([c.hash_selector for c in found], asked) == ([BY_HASH] * 2, 1)


async def test_the_hash_selector_is_that_of_the_pod_s_own_labels():
    """A Service may select by the hash and by a label that only one pod of the ReplicaSet has."""

    class ByLabels(Lookup):
        def selector_of(self, target):
            return BY_HASH if "track" in target.labels else ""

    cluster = ByLabels()
    pods = [pod("p0"), pod("p1", labels={**pod().labels, "track": "canary"}), pod("p2")]
    found = await complete_in(cluster, [Assessment(p, container(), EXHAUSTING) for p in pods])
    selectors = {c.pod.key.name: c.hash_selector for c in found}
    assert selectors == {"p0": "", "p1": BY_HASH, "p2": ""}
    assert cluster.services_asked == 1, "one read for all pods"


async def test_a_workload_that_can_t_be_read_affects_only_its_own_pods():
    class Closed(Lookup):
        async def find_workload(self, namespace, controller):
            found = await super().find_workload(namespace, controller)
            if controller.kind == "Rollout":
                raise TerminalError("Forbidden", "rollouts is forbidden")
            return found

    cluster = Closed()
    closed = ObjectRef("argoproj.io/v1alpha1", "Rollout", "closed", "rollout-1")
    pods = [pod("p0", controller=closed), pod("p1"), pod("p2", controller=closed)]
    found = await find_in(cluster, [Assessment(p, container(), EXHAUSTING) for p in pods])
    blocked = "Rollout/closed can't be read: rollouts is forbidden"
    assert {c.pod.key.name: (c.unreadable_because, c.workload) for c in found} == {
        "p0": (blocked, None), "p1": ("", cluster.workload), "p2": (blocked, None),
    }  # fmt: skip
    assert sorted(cluster.asked) == ["closed", "leaky-5d"], "each once"


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [("Evict", {}), ("Restart", {}), ("Auto", {"hash_label": ""}), ("Auto", {"has_recreate_strategy": True})],
)
async def test_the_hash_selector_is_looked_up_only_for_a_surge(strategy, changes):
    found, asked = await looked_up(strategy, **changes)
    assert ([c.hash_selector for c in found], asked) == ([""] * 2, 0)
