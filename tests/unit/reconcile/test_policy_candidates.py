"""Which of a pod's containers counts, and whose workload is looked up."""

from __future__ import annotations

import pytest

from memroll.detection.assessment import Assessment
from memroll.detection.verdict import Breach, Code
from memroll.reconcile.policy import _candidates
from memroll.reconcile.snapshot import Scene
from tests.builders import MIB, NOW, breach, container, pod, policy, workload

FAR = breach(90_000, lead_s=3600, due=False)
DOUBTED = breach(1800, lead_s=3600, due=False)
EXHAUSTING = Breach(Code.EXHAUSTING, "", None, 100.0 * MIB, 7200.0, 9000.0, due=True)


BY_HASH = "Service chat selects the pod by its label pod-template-hash"


class Lookup:
    def __init__(self, **changes):
        self.asked = []
        self.services_asked = 0
        self.workload = workload(**changes)

    async def workload_of(self, namespace, controller):
        self.asked.append(controller.name)
        return self.workload

    async def hash_selected_by(self, target, hash_label):
        self.services_asked += 1
        return BY_HASH


async def candidates(*assessments, **spec):
    cluster = Lookup()
    found = await _candidates(Scene(policy(**spec), (), (), NOW), assessments, cluster)
    return found, cluster.asked


async def test_a_container_that_is_due_counts_before_one_that_is_nearer_its_limit():
    app, sidecar = container(), container(name="sidecar")
    for order in ((app, DOUBTED), (sidecar, EXHAUSTING)), ((sidecar, EXHAUSTING), (app, DOUBTED)):
        (found,), _ = await candidates(*(Assessment(pod(), c, verdict) for c, verdict in order))
        assert (found.container, found.due) == ("sidecar", True)


async def test_of_two_the_nearer_one_counts():
    app, sidecar = Assessment(pod(), container(), FAR), Assessment(pod(), container(name="sidecar"), DOUBTED)
    (found,), _ = await candidates(app, sidecar)
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
async def test_a_workload_is_looked_up_for_what_may_be_due(verdicts, windows, asked):
    spec = {} if windows is None else {"roll": {"windows": windows}}
    found = [Assessment(pod(f"p{i}"), container(), verdict) for i, verdict in enumerate(verdicts)]
    assert (await candidates(*found, **spec))[1] == asked


async def looked_up(strategy: str = "Auto", **changes):
    cluster = Lookup(**changes)
    scene = Scene(policy(roll={"strategy": strategy}), (), (), NOW)
    two = [Assessment(pod(f"p{i}"), container(), EXHAUSTING) for i in range(2)]
    return await _candidates(scene, two, cluster), cluster.services_asked


async def test_what_selects_a_pod_by_its_hash_is_looked_up_once_a_workload():
    found, asked = await looked_up()
    assert ([c.hash_selected_by for c in found], asked) == ([BY_HASH] * 2, 1)


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [("Evict", {}), ("Restart", {}), ("Auto", {"hash_label": ""}), ("Auto", {"recreates": True})],
)
async def test_and_only_where_a_pod_would_be_surged(strategy, changes):
    found, asked = await looked_up(strategy, **changes)
    assert ([c.hash_selected_by for c in found], asked) == ([""] * 2, 0)
