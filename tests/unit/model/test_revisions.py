"""Workload and revision of a pod and of a roll."""

from __future__ import annotations

import pytest

from memroll.api.pod_roll import EffectResult
from memroll.model.pod_names import workload_or_pod
from memroll.model.pods import ObjectRef
from memroll.model.revisions import revision_of, revision_of_roll
from tests.builders import measured_roll, pod, roll, succeeded_roll


def owned(kind: str, owner: str, **labels: str):
    return pod(controller=ObjectRef("apps/v1", kind, owner, "u"), labels=labels)


PODS = [
    pytest.param(owned("ReplicaSet", "web-5d", **{"pod-template-hash": "5d"}), "Deployment/web", "5d"),
    pytest.param(owned("ReplicaSet", "web-5d", **{"rollouts-pod-template-hash": "5d"}), "Rollout/web", "5d"),
    pytest.param(owned("ReplicaSet", "web"), "ReplicaSet/web", ""),
    pytest.param(owned("StatefulSet", "db", **{"controller-revision-hash": "db-7f"}), "StatefulSet/db", "db-7f"),
    pytest.param(owned("DaemonSet", "agent", **{"controller-revision-hash": "7f"}), "DaemonSet/agent", "7f"),
    pytest.param(pod("bare", controller=None, labels={}), "Pod/bare", ""),
]


@pytest.mark.parametrize(("pod", "workload", "revision"), PODS)
def test_workload_and_revision_are_read_from_the_pod(pod, workload, revision):
    assert (workload_or_pod(pod), revision_of(pod)) == (workload, revision)


def test_the_revision_of_a_released_pod_is_in_its_annotation():
    labels, marks = {"pod-template-hash": "memroll-released"}, {"memroll.dev/released-from": "5d"}
    assert revision_of(pod(labels=labels, annotations=marks)) == "5d"


def of_kind(kind: str, controller: str, name: str, **more):
    ref = {"apiVersion": "apps/v1", "kind": kind, "name": "web"}
    return succeeded_roll(workload=ref, controller=ref | {"kind": controller, "name": name, "uid": "u"}, **more)


ROLLS = [
    pytest.param(of_kind("Deployment", "ReplicaSet", "web-5d"), "5d", id="evicted from a Deployment"),
    pytest.param(of_kind("Rollout", "ReplicaSet", "web-5d"), "5d", id="evicted from a Rollout"),
    pytest.param(of_kind("ReplicaSet", "ReplicaSet", "web-5d"), "", id="a bare ReplicaSet has none"),
    pytest.param(of_kind("StatefulSet", "StatefulSet", "web"), None, id="a StatefulSet's is only on the pod"),
    pytest.param(measured_roll(EffectResult.INEFFECTIVE, 0, hash="6e"), "6e", id="surged"),
    pytest.param(roll("Succeeded"), None, id="nothing is known"),
]


@pytest.mark.parametrize(("of", "revision"), ROLLS)
def test_the_revision_of_a_rolled_pod_is_read_from_the_record(of, revision):
    assert revision_of_roll(of) == revision
