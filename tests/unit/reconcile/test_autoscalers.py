"""Autoscalers are read only for workloads with pods at risk, suspected or being rolled, and only those are kept."""

from __future__ import annotations

import pytest

from memroll.api.pod_roll import PodRoll
from memroll.detection.assessment import Assessment
from memroll.model.autoscalers import Autoscaler
from memroll.model.pod_names import WorkloadName
from memroll.model.pods import ObjectRef
from memroll.reconcile.autoscalers import find_autoscalers
from memroll.reconcile.snapshot import PolicySnapshot
from tests.builders import (
    NOW,
    container,
    healthy_verdict,
    inconclusive_verdict,
    leak_verdict,
    pod,
    policy,
    roll_json,
    suspected_verdict,
)

HPA = Autoscaler("HorizontalPodAutoscaler", "a", WorkloadName("Deployment", "leaky"), "scales by cpu")
OTHER = Autoscaler("HorizontalPodAutoscaler", "b", WorkloadName("Deployment", "other"), "scales by cpu")
VPA = Autoscaler("VerticalPodAutoscaler", "c", WorkloadName("StatefulSet", "db"), "evicts pods")


class Namespace:
    def __init__(self):
        self.reads = []

    async def list_autoscalers(self, namespace, max_age_s):
        assert max_age_s == 4.5, "less than the interval of 5 s with its jitter"
        self.reads.append(namespace)
        return (HPA, OTHER, VPA)


async def find(*verdicts, rolls=(), target=None):
    namespace = Namespace()
    assessments = [Assessment(target or pod(), container(), verdict) for verdict in verdicts]
    snapshot = PolicySnapshot(policy(), (), tuple(rolls), NOW)
    return await find_autoscalers(snapshot, assessments, namespace), namespace.reads


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (leak_verdict(), (HPA,)),
        (suspected_verdict(), (HPA,)),
        (healthy_verdict(), ()),
        (inconclusive_verdict(), ()),
    ],
    ids=["at risk", "suspected", "healthy", "inconclusive"],
)
async def test_they_are_read_once_for_pods_at_risk_or_suspected(verdict, expected):
    found, reads = await find(verdict, verdict)
    assert (found, reads) == (expected, ["demo"] if expected else [])


async def test_of_a_stateful_set_they_are_found_by_its_name():
    found, _ = await find(leak_verdict(), target=pod("db-0", controller=ObjectRef("apps/v1", "StatefulSet", "db", "u")))
    assert found == (VPA,)


@pytest.mark.parametrize(("phase", "expected"), [("Replacing", (HPA,)), ("Succeeded", ())])
async def test_during_a_roll_they_stay_named(phase, expected):
    """The released pod has no controller, and the replacement is healthy."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"}
    roll = PodRoll.read(roll_json(phase, workload=ref, spec={"policy": "leaky"}))
    found, _ = await find(healthy_verdict(), rolls=[roll])
    assert found == expected
