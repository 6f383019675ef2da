"""Whole passes with fakes at the ports: what a person would see, and what is left after a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memroll.controller.controllers import Passes
from memroll.controller.workqueue import Key
from memroll.errors import NotFound, PrometheusUnavailable, Stalled
from memroll.log_context import named
from memroll.reporting.metrics import Metrics
from tests.builders import at, line, policy_json
from tests.fakes import FakeCluster, FakePrometheus, Killed, Log

POLICY = Key("demo", "leaky")
FAST = {
    "mode": "Enforce",
    "selector": {"matchLabels": {"app": "leaky"}},
    "interval": "5s",
    "growth": {"perHour": "50%", "window": "60s", "warmUp": "20s", "persist": "10s"},
    "roll": {"cooldown": "0s", "replacementTimeout": "60s"},
}


class Stage:
    """One operator process over a fake cluster; `again()` is the process after a restart."""

    def __init__(self, cluster: FakeCluster, prometheus: FakePrometheus, spec: dict[str, Any] | None = None) -> None:
        self.cluster, self.prometheus = cluster, prometheus
        self.cluster.policies_json["leaky"] = policy_json(spec or FAST)
        self.log, self.metrics, self.leads = Log(), Metrics(), True
        self.woken: list[Key] = []
        self.passes = self.again()

    def again(self) -> Passes:
        self.passes = Passes(
            cluster=self.cluster,
            prometheus=self.prometheus,
            recorder=self.log,
            metrics=self.metrics,
            leads=lambda: self.leads,
            wake_roll=self.woken.append,
            wake_policy=self.woken.append,
            now=lambda: at(self.cluster.seconds),
        )
        return self.passes

    async def judge(self) -> float | None:
        return await self.passes.over_policy(POLICY)

    async def step_all(self) -> None:
        for name in list(self.cluster.rolls_json):
            await self.passes.over_roll(Key("demo", name))

    @property
    def status(self) -> dict[str, Any]:
        return self.cluster.policies_json["leaky"]["status"]

    def condition(self, type_: str) -> tuple[str, str, str]:
        found = next(c for c in self.status["conditions"] if c["type"] == type_)
        return found["status"], found["reason"], found["message"]

    @property
    def phases(self) -> list[str]:
        return [r["status"].get("phase", "") for r in self.cluster.rolls_json.values()]


def leaking(replicas: int = 1, **cluster: Any) -> Stage:
    fake = FakeCluster(replicas, **cluster)
    return Stage(fake, FakePrometheus({"id-leaky-1": line(0.5)}))


async def run_rolls(stage: Stage, rounds: int = 12) -> None:
    for _ in range(rounds):
        await stage.step_all()
        stage.cluster.settle()


async def test_a_leaking_pod_is_rolled_and_everyone_is_told():
    stage = leaking()
    assert await stage.judge() == pytest.approx(5, rel=0.06)
    assert len(stage.cluster.rolls_json) == 1
    recorded = next(iter(stage.cluster.rolls_json.values()))
    assert recorded["spec"]["podName"] == "leaky-1"
    assert recorded["spec"]["reason"].startswith(
        "app: 110.0 MiB of 128.0 MiB (86%), +1800.0 MiB per hour, limit in 36s"
    )
    assert stage.woken == [Key("demo", recorded["metadata"]["name"])]
    await run_rolls(stage)
    assert stage.phases == ["Succeeded"]
    assert stage.cluster.evicted == ["uid-leaky-1"]
    assert list(stage.cluster.pods) == ["leaky-2"]
    assert stage.cluster.least_ready == 1, "the replacement was Ready before the old pod left"
    assert stage.woken[-1] == POLICY, "the policy's status follows the end of a roll at once"
    for kind in ("Pod", "Deployment", "MemoryPolicy"):
        assert [r for r in stage.log.reasons(kind) if r.startswith(("Roll", "Pod", "Repl"))] == [
            "RollAnnounced",
            "ReplacementReady",
            "PodRolled",
        ], kind


async def test_the_status_tells_the_story():
    stage = leaking()
    await stage.judge()
    assert stage.status["pods"] == {"total": 1, "healthy": 0, "breaching": 1, "inconclusive": 0}
    assert stage.status["nextLimit"] == "36s"
    near = stage.status["nearest"][0]
    assert (near["pod"], near["verdict"], near["reason"]) == ("leaky-1", "Breach", "Growing")
    assert near["growthBytesPerHour"] == pytest.approx(1800 * 2**20, rel=0.01)
    assert stage.condition("Ready")[:2] == ("True", "Watching")
    assert stage.condition("Breaching") == ("True", "LeakConfirmed", "leaking: leaky-1")
    await run_rolls(stage)
    await stage.judge()
    assert stage.status["rolls"] == {"succeeded": 1, "failed": 0, "active": 0}
    assert stage.status["lastRolls"][0]["pod"] == "leaky-1"


async def test_an_innocent_pod_is_left_alone():
    stage = Stage(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=110)}))
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.condition("Ready") == ("True", "Watching", "watching 1 pod: 1 healthy")


async def test_a_leak_far_from_its_limit_is_told_but_not_rolled():
    stage = Stage(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.1, age_s=600)}))
    old = stage.cluster.pods["leaky-1"]
    stage.cluster.pods["leaky-1"] = replace(old, containers=(replace(old.containers[0], started_at=at(-600)),))
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.log.reasons("Pod") == ["LeakConfirmed"]
    assert "not due" in stage.status["nearest"][0]["heldBy"]


async def test_a_leak_too_young_to_compare_with_its_past_is_only_suspected():
    stage = Stage(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.2)}))
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.log.reasons("Pod") == ["LeakSuspected"]
    assert stage.condition("Ready")[2] == "watching 1 pod: 1 healthy"


async def test_what_does_not_grow_is_never_read():
    stage = Stage(FakeCluster(2), FakePrometheus({f"id-leaky-{i}": line(0.0, base_mib=110) for i in (1, 2)}))
    await stage.judge()
    assert len(stage.prometheus.screened) == 1
    assert stage.prometheus.asked == []


async def test_a_suspect_is_read_with_its_siblings():
    quiet = line(0.0, base_mib=30)
    stage = Stage(FakeCluster(3), FakePrometheus({"id-leaky-1": line(0.5), "id-leaky-2": quiet, "id-leaky-3": quiet}))
    await stage.judge()
    ((_, _, pods, _),) = stage.prometheus.asked
    assert pods == ("leaky-1", "leaky-2", "leaky-3")


async def test_observe_never_rolls():
    stage = Stage(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), FAST | {"mode": "Observe"})
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.status["nearest"][0]["heldBy"] == "the policy observes only (mode: Observe)"


async def test_a_suspended_policy_asks_nothing():
    stage = Stage(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), FAST | {"suspend": True})
    await stage.judge()
    assert stage.prometheus.asked == []
    assert stage.condition("Ready")[:2] == ("True", "Suspended")


async def test_prometheus_down_rolls_nothing_says_so_and_recovers():
    stage = leaking()
    stage.prometheus.error = PrometheusUnavailable("ConnectionRefused", "prom:9090 refused: is it running?")
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.condition("Ready")[:2] == ("False", "ConnectionRefused")
    assert stage.condition("PrometheusReachable") == ("False", "ConnectionRefused", "prom:9090 refused: is it running?")
    assert stage.log.reasons("MemoryPolicy") == ["PrometheusUnavailable"]
    stage.prometheus.error = None
    await stage.judge()
    assert stage.condition("PrometheusReachable")[0] == "True"
    assert len(stage.cluster.rolls_json) == 1


async def test_a_policy_that_selects_nothing_says_so():
    stage = Stage(FakeCluster(0), FakePrometheus({}))
    await stage.judge()
    assert stage.condition("Accepted")[:2] == ("False", "TargetNotFound")
    assert stage.log.reasons("MemoryPolicy") == ["TargetNotFound"]


async def test_a_target_that_does_not_exist_is_named_and_hinders_no_other_policy():
    stage = leaking()

    async def missing(*_: object) -> str:
        raise NotFound("NotFound", "deployments.apps gone")

    stage.cluster.selector_of = missing
    spec = {k: v for k, v in FAST.items() if k != "selector"}
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}
    older = policy_json(spec | {"targetRef": ref}, name="older", creationTimestamp="2026-02-01T00:00:00Z")
    stage.cluster.policies_json["older"] = older
    await stage.judge()
    assert len(stage.cluster.rolls_json) == 1
    await stage.passes.over_policy(Key("demo", "older"))
    conditions = {c["type"]: c for c in stage.cluster.policies_json["older"]["status"]["conditions"]}
    assert conditions["Accepted"]["reason"] == "TargetNotFound"
    assert conditions["Ready"]["message"] == "Deployment/gone does not exist in this namespace, or has no pods"


async def test_pods_without_samples_are_inconclusive_and_told():
    stage = Stage(FakeCluster(1), FakePrometheus({}))
    await stage.judge()
    assert stage.status["pods"]["inconclusive"] == 1
    assert stage.status["nearest"][0]["reason"] == "NoData"
    assert stage.log.reasons("Pod") == ["NotEnoughData"]


async def test_the_younger_of_two_policies_on_one_pod_is_conflicted():
    stage = leaking()
    older = policy_json(FAST, name="older", creationTimestamp="2026-02-01T00:00:00Z")
    stage.cluster.policies_json["older"] = older
    await stage.judge()
    assert stage.cluster.rolls_json == {}
    assert stage.condition("Accepted") == ("False", "Conflicted", "an older policy watches already: leaky-1 (older)")
    assert stage.condition("Ready")[:2] == ("False", "Conflicted")
    assert stage.log.reasons("MemoryPolicy") == []


async def test_an_older_policy_on_other_pods_costs_no_question():
    """A hundred policies of a namespace would otherwise ask ten thousand times."""
    stage = leaking()
    elsewhere = {**FAST, "selector": {"matchLabels": {"app": "other"}}}
    stage.cluster.policies_json["older"] = policy_json(
        elsewhere, name="older", creationTimestamp="2026-02-01T00:00:00Z"
    )
    await stage.judge()
    assert stage.cluster.asked_for == ["app=leaky"]
    assert len(stage.cluster.rolls_json) == 1


async def test_an_invalid_stored_policy_is_stalled_and_acts_on_nothing():
    stage = leaking()
    stage.cluster.policies_json["leaky"] = policy_json(FAST | {"interval": "soon"})
    await stage.judge()
    assert stage.prometheus.asked == []
    assert stage.condition("Stalled")[1] == "Invalid"
    assert "'soon' is not a duration" in stage.condition("Accepted")[2]


async def test_a_process_that_does_not_lead_does_nothing():
    stage = leaking()
    stage.leads = False
    assert await stage.judge() == 2.0
    assert stage.cluster.writes == []


async def test_a_policy_that_is_gone_is_forgotten():
    stage = leaking()
    stage.cluster.policies_json.clear()
    assert await stage.judge() is None


async def test_three_replicas_that_leak_at_once_are_rolled_one_at_a_time():
    fake = FakeCluster(3)
    stage = Stage(fake, FakePrometheus({f"id-leaky-{i}": line(0.5 + i / 100, ahead_s=60) for i in (1, 2, 3)}))
    for _ in range(60):
        await stage.judge()
        await run_rolls(stage, rounds=1)
    assert sorted(fake.evicted) == ["uid-leaky-1", "uid-leaky-2", "uid-leaky-3"]
    assert fake.least_ready == 3


async def test_a_replacement_that_never_becomes_ready_leaves_the_old_pod_in_place():
    stage = leaking(newcomers_ready=False)
    await stage.judge()
    await run_rolls(stage, rounds=70)
    assert stage.phases == ["Failed"]
    assert stage.cluster.evicted == []
    assert list(stage.cluster.pods) == ["leaky-1"]
    assert stage.cluster.pods["leaky-1"].labels["pod-template-hash"] == "5d"
    assert stage.log.reasons("Deployment") == ["RollAnnounced", "EvidenceCaptured", "RollRolledBack"]


async def test_a_budget_that_never_allows_the_eviction_leaves_the_old_pod_in_place():
    stage = leaking(budget_allows=False)
    await stage.judge()
    await run_rolls(stage, rounds=80)
    assert stage.phases == ["Failed"]
    assert list(stage.cluster.pods) == ["leaky-1"]
    assert "EvictionBlocked" in stage.log.reasons("Deployment")


async def test_a_podroll_deleted_in_mid_surge_puts_the_pod_back():
    stage = leaking(newcomers_ready=False)
    await stage.judge()
    await run_rolls(stage, rounds=4)
    assert stage.cluster.pods["leaky-1"].released
    name = next(iter(stage.cluster.rolls_json))
    stage.cluster.rolls_json.clear()
    assert await stage.passes.over_roll(Key("demo", name)) is None
    stage.cluster.settle()
    stage.cluster.settle()
    assert list(stage.cluster.pods) == ["leaky-1"]
    assert not stage.cluster.pods["leaky-1"].released


async def test_a_stray_is_not_named_after_the_roll_that_led_to_it(caplog):
    """It may be another's: a roll that is gone is a reason to look at all of them."""
    stage = leaking(newcomers_ready=False)
    await stage.judge()
    await run_rolls(stage, rounds=4)
    stage.cluster.rolls_json.clear()
    caplog.handler.addFilter(named)
    await stage.passes.over_roll(Key("demo", "another"))
    caplog.handler.removeFilter(named)
    (line_said,) = [r for r in caplog.records if r.message == "stray"]
    assert (line_said.namespace, line_said.pod) == ("demo", "leaky-1")
    assert not hasattr(line_said, "roll")


async def test_a_pod_whose_roll_is_under_way_is_not_swept():
    stage = leaking(newcomers_ready=False)
    await stage.judge()
    await run_rolls(stage, rounds=4)
    await stage.passes.put_back()
    assert stage.cluster.pods["leaky-1"].released


async def test_the_same_leak_is_never_recorded_twice():
    stage = leaking(newcomers_ready=False)
    for _ in range(5):
        await stage.judge()
        await run_rolls(stage, rounds=1)
    assert len(stage.cluster.rolls_json) == 1


async def test_a_forbidden_owner_reference_does_not_stop_a_roll():
    stage = leaking()

    async def refuse(*_: object) -> None:
        raise Stalled("Forbidden", "cannot set an owner reference")

    stage.cluster.own = refuse
    await stage.judge()
    await run_rolls(stage)
    assert stage.phases == ["Succeeded"]


async def test_a_forbidden_release_fails_the_roll_and_touches_nothing():
    stage = leaking()

    async def refuse(*_: object) -> None:
        raise Stalled("Forbidden", "cannot patch pods")

    stage.cluster.release = refuse
    await stage.judge()
    await run_rolls(stage)
    assert stage.phases == ["Failed"]
    recorded = next(iter(stage.cluster.rolls_json.values()))
    assert recorded["status"]["message"] == "release is refused: cannot patch pods"
    assert list(stage.cluster.pods) == ["leaky-1"]


async def test_a_lease_lost_between_record_and_act_stops_the_act():
    """The record is written, then the process is paused past its Lease: whoever leads now makes the release."""
    stage = leaking()
    await stage.judge()
    await stage.step_all()
    writes = len(stage.cluster.writes)
    answers = iter([True, True, False])
    stage.passes = replace(stage.passes, leads=lambda: next(answers))
    await stage.step_all()
    assert [w.split()[0] for w in stage.cluster.writes[writes:]] == ["status"]
    assert not stage.cluster.pods["leaky-1"].released
    stage.again()
    await run_rolls(stage)
    assert stage.phases == ["Succeeded"]


async def test_a_roll_in_an_excluded_namespace_ends_with_its_reason():
    stage = leaking()
    await stage.judge()
    stage.passes = replace(stage.passes, excluded=("demo",))
    await run_rolls(stage, rounds=3)
    assert stage.phases == ["Failed"]
    (ended,) = stage.cluster.rolls_json.values()
    assert ended["status"]["message"] == "memroll does not act in this namespace"
    assert not stage.cluster.pods["leaky-1"].released


async def test_a_roll_made_by_hand_needs_no_policy():
    stage = leaking()
    stage.cluster.policies_json.clear()
    manifest = {"metadata": {"name": "by-hand", "namespace": "demo"}, "spec": {"podName": "leaky-1"}}
    await stage.cluster.create_roll("demo", manifest)
    await run_rolls(stage)
    assert stage.phases == ["Succeeded"]
    assert stage.cluster.evicted == ["uid-leaky-1"]


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("writes", range(14))
async def test_a_process_killed_after_any_write_repeats_and_strands_nothing(writes, replicas):
    """The process dies right after its n-th write; the next one carries on from the cluster alone."""
    stage = leaking(replicas)
    stage.cluster.writes_left = writes
    for _ in range(30):
        try:
            await stage.judge()
            await stage.step_all()
        except Killed:
            stage.again()
            await stage.passes.put_back()
        stage.cluster.settle()
    assert stage.cluster.evicted == ["uid-leaky-1"]
    assert stage.phases == ["Succeeded"]
    assert len(stage.cluster.pods) == replicas
    assert not any(p.released for p in stage.cluster.pods.values())
    assert stage.cluster.least_ready == replicas


@pytest.mark.parametrize("writes", range(14))
async def test_a_process_killed_while_it_rolls_back_finishes_the_rollback(writes):
    stage = leaking(newcomers_ready=False)
    stage.cluster.writes_left = writes
    for _ in range(90):
        try:
            await stage.step_all()
            if not stage.cluster.rolls_json:
                await stage.judge()
        except Killed:
            stage.again()
            await stage.passes.put_back()
        stage.cluster.settle()
    assert stage.cluster.evicted == []
    assert stage.phases == ["Failed"]
    assert list(stage.cluster.pods) == ["leaky-1"]
    assert not stage.cluster.pods["leaky-1"].released


async def test_two_operators_at_once_roll_a_pod_once():
    """Even without a Lease the record decides: its name and version are the same for both."""
    stage = leaking()
    twin = Stage(stage.cluster, stage.prometheus)
    for _ in range(15):
        await stage.judge()
        await twin.judge()
        await stage.step_all()
        await twin.step_all()
        stage.cluster.settle()
    assert stage.cluster.evicted == ["uid-leaky-1"]
    assert stage.phases == ["Succeeded"]
