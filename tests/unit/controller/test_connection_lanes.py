"""Lanes of policies: by connection, known from the first reconcile on."""

from __future__ import annotations

from dataclasses import replace

from memroll.controller.connection_lanes import NO_LANE, ConnectionLanes
from memroll.controller.key import Key
from tests.builders import line, policy_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, POLICY, Simulation

A = Key("ai", "a")


def test_a_connection_that_does_not_exist_is_no_lane_of_its_own():
    lanes = ConnectionLanes({"default", "mimir"}.__contains__)
    assert [lanes.move(Key("ai", str(i)), f"invented-{i}") for i in range(100)] == [False] * 100
    assert {lanes.lane_of(Key("ai", str(i))) for i in range(100)} == {NO_LANE}


def test_a_policy_changes_its_lane_with_its_connection():
    lanes = ConnectionLanes({"default", "mimir"}.__contains__)
    assert (lanes.move(A, "default"), lanes.move(A, "default")) == (True, False)
    assert (lanes.move(A, "mimir"), lanes.lane_of(A)) == (True, "mimir")
    lanes.forget(A)
    assert lanes.lane_of(A) == NO_LANE


async def test_a_policy_is_not_queried_in_the_lane_of_another_connection():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0)}))
    lanes = ConnectionLanes({"default", "mimir"}.__contains__)
    policies = replace(sim.controllers.policies, lanes=lanes)
    assert await policies.reconcile(POLICY) == 0.0
    assert sim.prometheus.prefilters == []
    assert await policies.reconcile(POLICY) > 1
    assert len(sim.prometheus.prefilters) == 1
    sim.cluster.policies_json["leaky"] = policy_json(FAST | {"prometheus": "mimir"})
    assert await policies.reconcile(POLICY) == 0.0
    assert lanes.lane_of(POLICY) == "mimir"
