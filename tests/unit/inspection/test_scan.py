"""Scan of a cluster: findings by workload, their order, and what could not be assessed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from memroll.inspection.scan import ScanScope, scan_cluster
from memroll.model.pods import PodKey
from tests.builders import at, line, policy
from tests.fakes import FakePrometheus
from tests.scenario.simulation import FAST, leaking

FLAT = line(0.0, base_mib=40)


class Pods:
    """Pods of several namespaces."""

    def __init__(self, *pods):
        self.pods = pods
        self.asked = []

    async def iterate_pods(self, namespace, selector):
        self.asked.append((namespace, selector))
        for found in self.pods:
            yield found


def pods(replicas: int, namespace: str = "demo"):
    found = leaking(replicas).cluster.pods.values()
    return [replace(p, key=PodKey(namespace, p.key.name, f"{namespace}-{p.key.uid}")) for p in found]


def scan(listed, series, progress=lambda _: None, **scope):
    prometheus = FakePrometheus(series)
    given = ScanScope(policy(**FAST), **scope)
    return asyncio.run(scan_cluster(listed, prometheus, given, at(0), progress)), prometheus


def test_a_workload_is_one_finding_by_its_worst_pod():
    result, _ = scan(Pods(*pods(3)), {"id-leaky-1": FLAT, "id-leaky-2": line(0.5), "id-leaky-3": FLAT})
    (found,) = result.findings
    assert (found.pod, found.verdict, found.is_at_risk) == ("leaky-2", "Leaking", True)
    assert (str(found.workload), found.pods, found.pods_at_risk) == ("Deployment/leaky", 3, 1)
    assert found.growth_bytes_per_s == pytest.approx(0.5 * 2**20, rel=0.01)
    assert (result.pods, result.containers, result.namespaces) == (3, 3, 1)


def test_the_most_urgent_finding_comes_first():
    listed = Pods(*pods(1, "calm"), *pods(1, "leaks"))
    calm, leaks = listed.pods

    class ByNamespace(FakePrometheus):
        async def prefilter(self, connection, namespace, *rest):
            self.by_container = {"id-leaky-1": FLAT if namespace == "calm" else line(0.5)}
            return await super().prefilter(connection, namespace, *rest)

    prometheus = ByNamespace({})
    result = asyncio.run(scan_cluster(listed, prometheus, ScanScope(policy(**FAST)), at(0)))
    assert [f.namespace for f in result.findings] == [leaks.key.namespace, calm.key.namespace]
    assert [f.namespace for f in result.notable] == ["leaks"]


def test_what_could_not_be_assessed_is_counted_by_namespace_and_reason():
    result, _ = scan(Pods(*pods(2)), {})
    assert [(n.namespace, n.reason, n.containers) for n in result.not_assessed] == [("demo", "NoData", 2)]
    assert result.not_assessed_count == 2
    assert result.notable == ()


def test_ended_and_deleted_pods_are_left_out():
    one, two, three = pods(3)
    listed = Pods(one, replace(two, phase="Succeeded"), replace(three, deleting=True))
    result, prometheus = scan(listed, {})
    assert result.pods == 1
    assert {pods for _, _, pods in prometheus.prefilters} == {(one.key.name,)}


def test_the_scope_is_passed_on_and_progress_ends_at_100_percent():
    shown: list[int] = []
    listed = Pods(*pods(2, "a"), *pods(2, "b"))
    scan(listed, {}, shown.append, namespace="a", selector="app=x")
    assert listed.asked == [("a", "app=x")]
    assert shown == [50, 100]


def test_an_oom_killed_container_is_notable_though_it_is_healthy_now():
    (found,) = pods(1)
    killed = replace(found, containers=tuple(replace(c, oom_killed_at=at(-300)) for c in found.containers))
    result, _ = scan(Pods(killed), {"id-leaky-1": FLAT})
    assert [f.oom_killed_pods for f in result.notable] == [1]
    assert not result.findings[0].is_at_risk
