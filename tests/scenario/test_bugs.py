"""A bug of memroll in the reconcile of one policy: visible in that policy, retried, and without effect on another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memroll.controller.key import Key
from memroll.controller.workqueue import AFTER_BUG_S
from tests.builders import line, pod, policy_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.scenario.simulation import FAST, Simulation

if TYPE_CHECKING:
    from memroll.detection.samples import PrefilterResult

LAST = "memroll_last_reconcile_timestamp_seconds"


class BuggyPrometheus(FakePrometheus):
    """Prometheus whose client has a bug in the answers of one connection."""

    bug: Exception | None = None

    async def prefilter(self, connection: str, *args: Any) -> PrefilterResult:
        if connection == "odd" and self.bug is not None:
            raise self.bug
        return await super().prefilter(connection, *args)


@pytest.fixture
def sim() -> Simulation:
    prometheus = BuggyPrometheus({"id-leaky-1": line(0.5)})
    return Simulation(FakeCluster(1), prometheus, FAST | {"prometheus": "odd"})


def break_reads(sim: Simulation) -> None:
    sim.prometheus.bug = IndexError("boolean index did not match")


def of_policy(sim: Simulation, metric: str, **labels: str) -> float | None:
    return sim.metrics.registry.get_sample_value(metric, {"namespace": "demo", "policy": "leaky", **labels})


async def test_a_bug_is_visible_in_the_conditions_events_and_metrics(sim: Simulation) -> None:
    await sim.reconcile()
    before, rolls = sim.status, dict(sim.cluster.rolls_json)
    break_reads(sim)
    sim.cluster.seconds += 5
    await sim.reconcile()
    status, reason, message = sim.condition("Ready")
    assert (status, reason) == ("False", "InternalError")
    assert message.endswith("a bug of memroll ended the reconcile (IndexError): its log has the details")
    assert sim.condition("Accepted")[0] == "True", "the policy itself is valid"
    assert (sim.status["pods"], sim.status["lastRolls"]) == (before["pods"], before["lastRolls"])
    assert sim.cluster.rolls_json == rolls
    warned = [(e.reason.value, e.type.value) for e in sim.recorder.events if e.reason.value == "InternalError"]
    assert warned == [("InternalError", "Warning")]
    assert of_policy(sim, "memroll_reconcile_total", result="InternalError") == 1


async def test_a_bug_is_retried_later_and_ends_with_its_cause(sim: Simulation) -> None:
    break_reads(sim)
    started = sim.cluster.seconds
    assert await sim.reconcile() == AFTER_BUG_S
    sim.cluster.seconds += 30
    assert await sim.reconcile() == AFTER_BUG_S
    first = of_policy(sim, LAST)
    sim.prometheus.bug = None
    sim.cluster.seconds += 30
    await sim.reconcile()
    assert sim.condition("Ready")[:2] == ("True", "Watching")
    assert of_policy(sim, LAST) == first + sim.cluster.seconds - started, "only the last reconcile counts"


async def test_a_bug_in_one_policy_does_not_stop_another(sim: Simulation) -> None:
    sim.cluster.policies_json["other"] = policy_json(FAST, name="other", uid="other")
    sim.cluster.policies_json["leaky"]["spec"]["selector"] = {"matchLabels": {"app": "odd"}}
    another = pod("odd-1", labels={"app": "odd"})
    sim.cluster.pods["odd-1"] = another
    break_reads(sim)
    await sim.reconcile()
    await sim.reconcile(Key("demo", "other"))
    assert sim.condition("Ready")[1] == "InternalError"
    assert [roll["spec"]["policy"] for roll in sim.cluster.rolls_json.values()] == ["other"]
