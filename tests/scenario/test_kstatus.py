"""Every status that the controllers write, by the rules of kstatus and of `kubectl wait`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memroll.api import crd
from memroll.api.pod_roll import PodRoll
from memroll.api.policy_bounds import PolicyBounds
from memroll.controller.key import Key
from memroll.errors import PrometheusUnavailableError, TerminalError
from tests.builders import line, policy_json, roll_json
from tests.fakes import FakeCluster, FakePrometheus
from tests.kstatus import CURRENT, FAILED, IN_PROGRESS, is_met, kstatus
from tests.scenario.simulation import FAST, Simulation, leaking


class Recorded:
    """Simulation that records each object whose status was written."""

    def __init__(self, sim: Simulation) -> None:
        self.sim, self.objects = sim, []
        self._write = sim.cluster.write_status
        sim.cluster.write_status = self._record

    async def _record(self, *args: Any) -> dict[str, Any]:
        written = await self._write(*args)
        self.objects.append(written)
        return written

    def taken(self) -> list[str]:
        """Return the states of the objects written since the last call."""
        states, self.objects = [kstatus(raw) for raw in self.objects], []
        return states


def default_status(made: dict[str, Any]) -> dict[str, Any]:
    return made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]


def edit(sim: Simulation, spec: dict[str, Any]) -> None:
    """Change the spec of the policy as the API server does."""
    raw = sim.cluster.policies_json["leaky"]
    generation, version = raw["metadata"]["generation"] + 1, str(int(raw["metadata"]["resourceVersion"]) + 1)
    meta = raw["metadata"] | {"generation": generation, "resourceVersion": version}
    sim.cluster.policies_json["leaky"] = raw | {"metadata": meta, "spec": spec}


def test_a_new_object_is_in_progress_before_the_operator_has_seen_it():
    new_policy = policy_json(FAST) | {"status": default_status(crd.memory_policy_crd())}
    new_roll = roll_json() | {"status": default_status(crd.pod_roll_crd())}
    assert [(kstatus(raw), is_met(raw, "Ready")) for raw in (new_policy, new_roll)] == [(IN_PROGRESS, False)] * 2


async def test_a_new_policy_is_in_progress_until_its_first_reconcile_has_ended():
    sim = leaking()
    sim.cluster.policies_json["leaky"]["status"] = default_status(crd.memory_policy_crd())
    recorded = Recorded(sim)
    await sim.reconcile()
    assert recorded.taken() == [IN_PROGRESS, CURRENT]
    assert is_met(sim.cluster.policies_json["leaky"], "Ready")
    assert "Reconciling" not in [c["type"] for c in sim.status["conditions"]]


async def test_only_the_first_reconcile_of_a_spec_writes_one_more_status():
    sim = leaking()
    recorded = Recorded(sim)
    await sim.reconcile()
    recorded.taken()
    sim.restart()  # also not the first one of a process
    await sim.reconcile()
    assert IN_PROGRESS not in recorded.taken()
    edit(sim, FAST | {"interval": "6s"})
    changed = sim.cluster.policies_json["leaky"]
    assert (kstatus(changed), is_met(changed, "Ready")) == (IN_PROGRESS, False)
    await sim.reconcile()
    assert recorded.taken() == [IN_PROGRESS, CURRENT]
    await sim.reconcile()
    assert IN_PROGRESS not in recorded.taken()


async def test_the_first_status_is_written_before_anything_is_read():
    sim = leaking()
    sim.prometheus.error = PrometheusUnavailableError("QueryTimeout", "no answer")
    recorded = Recorded(sim)
    await sim.reconcile()
    first = recorded.objects[0]["status"]
    ready = next(c for c in first["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["message"]) == ("Unknown", "the first reconcile of this spec is in progress")
    assert first["observedGeneration"] == 1


async def test_a_status_that_can_t_be_written_at_the_beginning_costs_no_reconcile():
    sim = leaking()
    write, attempts = sim.cluster.write_status, []

    async def refused_once(*args: Any) -> dict[str, Any]:
        attempts.append(args)
        if len(attempts) == 1:
            raise TerminalError("Forbidden", "not now")
        return await write(*args)

    sim.cluster.write_status = refused_once
    await sim.reconcile()
    assert sim.condition("Ready")[0] == "True"


async def no_pods(sim: Simulation) -> None:
    sim.cluster.pods.clear()


async def prometheus_down(sim: Simulation) -> None:
    sim.prometheus.error = PrometheusUnavailableError("QueryTimeout", "no answer")


async def unknown_connection(sim: Simulation) -> None:
    sim.prometheus.error = TerminalError("ConnectionNotFound", "no connection named x")


async def bug(sim: Simulation) -> None:
    sim.prometheus.error = IndexError("a bug")


async def invalid(sim: Simulation) -> None:
    sim.cluster.policies_json["leaky"]["spec"] = {"mode": "Often"}


async def suspended(sim: Simulation) -> None:
    sim.cluster.policies_json["leaky"]["spec"] = FAST | {"suspend": True}


async def short_interval(sim: Simulation) -> None:
    sim.change_context(bounds=PolicyBounds(min_interval=timedelta(hours=1)))


async def too_many_pods(sim: Simulation) -> None:
    sim.change_context(bounds=PolicyBounds(pods_per_policy=0))


async def excluded(sim: Simulation) -> None:
    sim.change_context(excluded=("demo",))


async def conflicted(sim: Simulation) -> None:
    sim.cluster.policies_json["older"] = policy_json(FAST, "older", creationTimestamp="2026-02-01T10:00:00Z")


CASES = [
    pytest.param(no_pods, [IN_PROGRESS, IN_PROGRESS], id="no pods"),
    pytest.param(prometheus_down, [IN_PROGRESS, IN_PROGRESS], id="Prometheus is down"),
    pytest.param(bug, [IN_PROGRESS, IN_PROGRESS], id="a bug"),
    pytest.param(conflicted, [IN_PROGRESS, IN_PROGRESS], id="an older policy has its pods"),
    pytest.param(unknown_connection, [IN_PROGRESS, FAILED], id="an unknown connection"),
    pytest.param(too_many_pods, [IN_PROGRESS, FAILED], id="too many pods"),
    pytest.param(short_interval, [FAILED], id="a bound of the spec"),
    pytest.param(excluded, [FAILED], id="an excluded namespace"),
    pytest.param(invalid, [FAILED], id="an invalid spec"),
    pytest.param(suspended, [CURRENT], id="suspended"),
]


@pytest.mark.parametrize(("change", "expected"), CASES)
async def test_each_result_of_a_reconcile_has_its_state(change, expected):
    sim = leaking()
    await change(sim)
    recorded = Recorded(sim)
    await sim.reconcile()
    assert recorded.taken() == expected


async def test_a_mended_policy_is_no_longer_stalled_while_it_is_reconciled():
    sim = leaking()
    await invalid(sim)
    await sim.reconcile()
    assert kstatus(sim.cluster.policies_json["leaky"]) == FAILED
    recorded = Recorded(sim)
    edit(sim, FAST)
    await sim.reconcile()
    assert recorded.taken() == [IN_PROGRESS, CURRENT]


async def test_the_condition_suspended_is_present_only_while_the_policy_is():
    sim = leaking()
    await sim.reconcile()
    assert "Suspended" not in [c["type"] for c in sim.status["conditions"]]
    edit(sim, FAST | {"suspend": True})
    await sim.reconcile()
    assert sim.condition("Suspended") == ("True", "Suspended", "suspended: no pod is assessed or rolled")
    assert (sim.condition("Ready")[0], is_met(sim.cluster.policies_json["leaky"], "Ready")) == ("True", True)
    edit(sim, FAST)
    await sim.reconcile()
    assert "Suspended" not in [c["type"] for c in sim.status["conditions"]]


async def test_a_roll_is_in_progress_until_its_pod_was_replaced():
    sim = leaking()
    await sim.reconcile()
    recorded = Recorded(sim)
    await sim.run_rolls()
    states = recorded.taken()
    assert sim.phases == ["Succeeded"]
    assert (set(states[:-1]), states[-1]) == ({IN_PROGRESS}, CURRENT)


async def test_a_roll_that_ended_otherwise_has_failed():
    sim = leaking(replacements_ready=False)
    await sim.reconcile()
    (name,) = sim.cluster.rolls_json
    sim.cluster.rolls_json[name]["spec"]["cancel"] = True
    await sim.run_rolls()
    assert (sim.phases, kstatus(sim.cluster.rolls_json[name])) == (["Aborted"], FAILED)


async def test_a_roll_that_must_not_begin_has_failed():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}))
    sim.cluster.rolls_json["leaky-abc-1"] = roll_json()
    sim.change_context(excluded=("demo",))
    await sim.controllers.rolls.reconcile(Key("demo", "leaky-abc-1"))
    assert kstatus(sim.cluster.rolls_json["leaky-abc-1"]) == FAILED


@pytest.mark.parametrize("phase", ["Announced", "CapturingEvidence", "Replacing", "Draining", "Evicting", "Verifying"])
def test_a_roll_in_each_phase_is_in_progress(phase):
    status = PodRoll.read(roll_json(phase, times={"announced": "2026-03-01T12:00:00Z"})).status.to_dict()
    assert kstatus({"metadata": {"generation": 1}, "status": status}) == IN_PROGRESS
