"""Reconciles of policies and rolls with fakes as clients: the user-visible result, and the state after a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memroll.controller.key import Key
from memroll.controller.requeue import MIN_REPEAT_S
from memroll.errors import ClusterUnavailableError, NotFoundError, PrometheusUnavailableError, TerminalError
from memroll.logs import add_context
from tests.builders import at, line, policy_json
from tests.fakes import FakeCluster, FakePrometheus, ProcessKilled
from tests.scenario.simulation import FAST, POLICY, Simulation, leaking


async def test_a_leaking_pod_is_rolled_and_events_are_published():
    sim = leaking()
    assert await sim.reconcile() == pytest.approx(5, rel=0.06)
    assert len(sim.cluster.rolls_json) == 1
    recorded = next(iter(sim.cluster.rolls_json.values()))
    assert recorded["spec"]["podName"] == "leaky-1"
    assert recorded["spec"]["reason"].startswith(
        "app: 110.0 MiB of 128.0 MiB (86%), +1800.0 MiB per hour, limit in 36s"
    )
    assert sim.enqueued == [Key("demo", recorded["metadata"]["name"])]
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]
    assert sim.cluster.evicted == ["uid-leaky-1"]
    assert list(sim.cluster.pods) == ["leaky-2"]
    assert sim.cluster.min_ready == 1, "the replacement was Ready before the old pod was evicted"
    assert sim.enqueued[-1] == POLICY, "the policy is reconciled right after the end of a roll"
    for kind in ("Pod", "Deployment", "MemoryPolicy"):
        assert [r for r in sim.recorder.reasons(kind) if r.startswith(("Roll", "Pod", "Repl"))] == [
            "RollAnnounced",
            "ReplacementReady",
            "PodRolled",
        ], kind


async def test_the_status_contains_the_leak_and_the_roll():
    sim = leaking()
    await sim.reconcile()
    assert sim.status["pods"] == {"total": 1, "healthy": 0, "suspected": 0, "atRisk": 1, "inconclusive": 0}
    assert sim.status["timeToLimit"] == "36s"
    at_risk = sim.status["atRisk"][0]
    assert (at_risk["pod"], at_risk["verdict"], at_risk["reason"]) == ("leaky-1", "Leaking", "Leaking")
    assert at_risk["growthBytesPerHour"] == pytest.approx(1800 * 2**20, rel=0.01)
    assert sim.condition("Ready")[:2] == ("True", "Watching")
    assert sim.condition("AtRisk") == ("True", "Leaking", "at risk: leaky-1 (Leaking)")
    await sim.run_rolls()
    await sim.reconcile()
    assert sim.status["rolls"] == {"succeeded": 1, "failed": 0, "active": 0}
    assert sim.status["lastRolls"][0]["pod"] == "leaky-1"


async def test_a_healthy_pod_is_not_rolled():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.0, base_mib=110)}))
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.condition("Ready") == ("True", "Watching", "watching 1 pod: 1 healthy")


async def test_a_leak_far_from_its_limit_is_reported_but_not_rolled():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.1, age_s=600)}))
    old = sim.cluster.pods["leaky-1"]
    sim.cluster.pods["leaky-1"] = replace(old, containers=(replace(old.containers[0], started_at=at(-600)),))
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.recorder.reasons("Pod") == ["LeakConfirmed"]
    assert "not due" in sim.blocked_message


async def test_a_leak_without_sufficient_history_is_only_suspected():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.2)}))
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.recorder.reasons("Pod") == ["LeakSuspected"]
    assert sim.condition("Ready")[2] == "watching 1 pod: 0 healthy, 1 suspected"


async def test_many_suspected_pods_are_one_event_on_the_policy():
    sim = Simulation(FakeCluster(40), FakePrometheus({f"id-leaky-{i}": line(0.2) for i in range(1, 41)}))
    await sim.reconcile()
    assert sim.recorder.reasons("Pod") == []
    (event,) = [e for e in sim.recorder.events if e.reason.value == "LeakSuspected"]
    assert (event.regarding.kind, event.message[:26]) == ("MemoryPolicy", "LeakSuspected of 40 pods: ")


async def test_containers_that_do_not_grow_are_not_read():
    sim = Simulation(FakeCluster(2), FakePrometheus({f"id-leaky-{i}": line(0.0, base_mib=110) for i in (1, 2)}))
    await sim.reconcile()
    assert len(sim.prometheus.prefilters) == 1
    assert sim.prometheus.reads == []


async def test_a_candidate_is_read_with_its_peers():
    quiet = line(0.0, base_mib=30)
    sim = Simulation(
        FakeCluster(3), FakePrometheus({"id-leaky-1": line(0.5), "id-leaky-2": quiet, "id-leaky-3": quiet})
    )
    await sim.reconcile()
    assert [pods for _, _, pods, _ in sim.prometheus.reads] == [("leaky-1",), ("leaky-1", "leaky-2", "leaky-3")]


async def test_observe_never_rolls():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), FAST | {"mode": "Observe"})
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.blocked_message == "the policy only observes (mode: Observe)"


async def test_a_suspended_policy_queries_nothing():
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), FAST | {"suspend": True})
    await sim.reconcile()
    assert sim.prometheus.reads == []
    assert sim.condition("Ready")[:2] == ("True", "Suspended")


async def test_an_unavailable_prometheus_is_reported_rolls_nothing_and_recovers():
    sim = leaking()
    sim.prometheus.error = PrometheusUnavailableError("ConnectionRefused", "prom:9090 refused: is it running?")
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.condition("Ready")[:2] == ("False", "ConnectionRefused")
    assert sim.condition("PrometheusReachable") == ("False", "ConnectionRefused", "prom:9090 refused: is it running?")
    assert sim.recorder.reasons("MemoryPolicy") == ["PrometheusUnavailable"]
    sim.prometheus.error = None
    await sim.reconcile()
    assert sim.condition("PrometheusReachable")[0] == "True"
    assert len(sim.cluster.rolls_json) == 1


async def test_a_policy_that_selects_nothing_is_reported():
    sim = Simulation(FakeCluster(0), FakePrometheus({}))
    await sim.reconcile()
    assert sim.condition("Accepted")[:2] == ("False", "TargetNotFound")
    assert sim.recorder.reasons("MemoryPolicy") == ["TargetNotFound"]


async def test_a_missing_target_is_reported_and_affects_no_other_policy():
    sim = leaking()

    async def missing(*_: object) -> str:
        raise NotFoundError("NotFound", "deployments.apps gone")

    sim.cluster.list_target_pods = sim.cluster.resolve_target = missing
    spec = {k: v for k, v in FAST.items() if k != "selector"}
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}
    older = policy_json(spec | {"targetRef": ref}, name="older", creationTimestamp="2026-02-01T00:00:00Z")
    sim.cluster.policies_json["older"] = older
    await sim.reconcile()
    assert len(sim.cluster.rolls_json) == 1
    await sim.reconcile(Key("demo", "older"))
    conditions = {c["type"]: c for c in sim.cluster.policies_json["older"]["status"]["conditions"]}
    assert conditions["Accepted"]["reason"] == "TargetNotFound"
    assert conditions["Ready"]["message"] == "Deployment/gone does not exist in this namespace, or has no pods"


async def test_pods_without_samples_are_inconclusive_and_reported():
    sim = Simulation(FakeCluster(1), FakePrometheus({}))
    await sim.reconcile()
    assert sim.status["pods"]["inconclusive"] == 1
    assert sim.status["atRisk"][0]["reason"] == "NoData"
    assert sim.recorder.reasons("Pod") == ["InsufficientData"]


async def test_a_conflict_names_the_policy_that_watches_the_pod():
    """Of several older ones, that is the oldest; the others have a conflict themselves."""
    sim = leaking()
    for name, created in (("second", "2026-02-02"), ("oldest", "2026-02-01"), ("third", "2026-02-03")):
        sim.cluster.policies_json[name] = policy_json(FAST, name=name, creationTimestamp=f"{created}T00:00:00Z")
    await sim.reconcile()
    assert sim.condition("Accepted")[2] == "an older policy already watches: leaky-1 (oldest)"
    assert sim.condition("Ready")[2] == "an older policy watches all of its pods: leaky-1 (oldest)"


async def test_the_younger_of_two_policies_on_one_pod_has_a_conflict():
    sim = leaking()
    older = policy_json(FAST, name="older", creationTimestamp="2026-02-01T00:00:00Z")
    sim.cluster.policies_json["older"] = older
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    assert sim.condition("Accepted") == ("False", "Conflicted", "an older policy already watches: leaky-1 (older)")
    assert sim.condition("Ready")[:2] == ("False", "Conflicted")
    assert sim.recorder.reasons("MemoryPolicy") == []


async def test_a_suspended_policy_keeps_its_pods_and_the_younger_one_names_it():
    """A policy is suspended so that its pods are left alone; a younger policy must not roll them instead."""
    sim = leaking()
    older = policy_json(FAST | {"suspend": True}, name="older", creationTimestamp="2026-02-01T00:00:00Z")
    sim.cluster.policies_json["older"] = older
    await sim.reconcile()
    assert sim.cluster.rolls_json == {}
    status, reason, message = sim.condition("Ready")
    assert (status, reason) == ("False", "Conflicted")
    assert "leaky-1 (older); suspended: older; a suspended policy keeps its pods: resume it" in message
    assert "watches" not in message
    del sim.cluster.policies_json["older"]
    await sim.reconcile()
    assert len(sim.cluster.rolls_json) == 1


async def test_an_invalid_policy_queries_no_connection():
    sim = leaking()
    sim.prometheus.error = PrometheusUnavailableError("QueryTimeout", "no answer")
    await sim.reconcile()
    assert sim.metrics.registry.get_sample_value("memroll_connection_up", {"connection": "default"}) == 0
    sim.cluster.policies_json["leaky"] = policy_json(FAST | {"usageThreshold": "5%"})
    await sim.reconcile()
    assert sim.metrics.registry.get_sample_value("memroll_connection_up", {"connection": "default"}) is None


async def test_an_older_policy_on_other_pods_costs_no_request():
    """A hundred policies of a namespace would otherwise make ten thousand requests."""
    sim = leaking()
    elsewhere = {**FAST, "selector": {"matchLabels": {"app": "other"}}}
    sim.cluster.policies_json["older"] = policy_json(elsewhere, name="older", creationTimestamp="2026-02-01T00:00:00Z")
    await sim.reconcile()
    assert sim.cluster.queried_selectors == [""], "one list of the namespace"
    assert len(sim.cluster.rolls_json) == 1


async def test_an_invalid_stored_policy_is_stalled_and_changes_nothing():
    sim = leaking()
    sim.cluster.policies_json["leaky"] = policy_json(FAST | {"interval": "soon"})
    await sim.reconcile()
    assert sim.prometheus.reads == []
    assert sim.condition("Stalled")[1] == "Invalid"
    assert "'soon' is not a duration" in sim.condition("Accepted")[2]
    assert sim.recorder.reasons("MemoryPolicy") == ["PolicyInvalid"]


async def test_a_setting_without_effect_is_reported_while_the_pods_are_healthy():
    sim = leaking()
    budgets = FAST["roll"] | {"budgets": [{"rolls": 0, "per": "24h"}]}
    sim.cluster.policies_json["leaky"] = policy_json(FAST | {"containers": ["ap"], "roll": budgets})
    await sim.reconcile()
    status, reason, message = sim.condition("Misconfigured")
    assert (status, reason) == ("True", "ContainerNotFound")
    assert message.endswith("roll.budgets[0]: 0 rolls permit none; to only report leaks, use mode: Observe")
    assert sim.recorder.reasons("MemoryPolicy") == ["PolicyMisconfigured", "PolicyMisconfigured"]
    assert sim.condition("Ready")[0] == "True"


@pytest.mark.parametrize("fails", ["prometheus", "cluster"])
async def test_a_setting_without_effect_stays_reported_while_a_reconcile_fails(fails):
    sim = leaking()
    sim.cluster.policies_json["leaky"] = policy_json(FAST | {"containers": ["ap"]})
    if fails == "cluster":
        await sim.reconcile()
        sim.cluster.list_pods = unavailable
    else:  # the pods are known: the condition needs no query
        sim.prometheus.error = PrometheusUnavailableError("QueryTimeout", "no answer")
    sim.cluster.seconds += 5
    await sim.reconcile()
    assert sim.condition("Ready")[0] == "False"
    assert sim.condition("Misconfigured")[:2] == ("True", "ContainerNotFound")


async def unavailable(*_):
    raise ClusterUnavailableError("ServerError", "503")


async def test_a_process_that_does_not_lead_does_nothing():
    sim = leaking()
    sim.leads = False
    assert await sim.reconcile() is None
    assert sim.cluster.writes == []


async def test_a_deleted_policy_is_removed_from_the_queue():
    sim = leaking()
    sim.cluster.policies_json.clear()
    assert await sim.reconcile() is None


async def test_three_leaking_replicas_are_rolled_one_at_a_time():
    fake = FakeCluster(3)
    sim = Simulation(fake, FakePrometheus({f"id-leaky-{i}": line(0.5 + i / 100, ahead_s=60) for i in (1, 2, 3)}))
    for _ in range(60):
        await sim.reconcile()
        await sim.run_rolls(rounds=1)
    assert sorted(fake.evicted) == ["uid-leaky-1", "uid-leaky-2", "uid-leaky-3"]
    assert fake.min_ready == 3


async def test_a_replacement_that_never_becomes_ready_leaves_the_old_pod_in_place():
    sim = leaking(replacements_ready=False)
    await sim.reconcile()
    await sim.run_rolls(rounds=70)
    assert sim.phases == ["Failed"]
    assert sim.cluster.evicted == []
    assert list(sim.cluster.pods) == ["leaky-1"]
    assert sim.cluster.pods["leaky-1"].labels["pod-template-hash"] == "5d"
    assert sim.recorder.reasons("Deployment") == ["RollAnnounced", "EvidenceCaptured", "RollReverted"]


async def test_a_poddisruptionbudget_that_blocks_the_eviction_leaves_the_old_pod_in_place():
    sim = leaking(budget_allows=False)
    await sim.reconcile()
    await sim.run_rolls(rounds=80)
    assert sim.phases == ["Failed"]
    assert list(sim.cluster.pods) == ["leaky-1"]
    assert "EvictionBlocked" in sim.recorder.reasons("Deployment")


async def test_a_podroll_deleted_during_a_surge_restores_the_pod():
    sim = leaking(replacements_ready=False)
    await sim.reconcile()
    await sim.run_rolls(rounds=4)
    assert sim.cluster.pods["leaky-1"].released
    name = next(iter(sim.cluster.rolls_json))
    sim.cluster.rolls_json.clear()
    assert await sim.controllers.rolls.reconcile(Key("demo", name)) is None
    sim.cluster.settle()
    sim.cluster.settle()
    assert list(sim.cluster.pods) == ["leaky-1"]
    assert not sim.cluster.pods["leaky-1"].released


async def test_an_orphaned_pod_is_not_logged_with_the_roll_that_led_to_it(caplog):
    """It may belong to another roll: a missing PodRoll triggers a check of all orphaned pods."""
    sim = leaking(replacements_ready=False)
    await sim.reconcile()
    await sim.run_rolls(rounds=4)
    sim.cluster.rolls_json.clear()
    caplog.handler.addFilter(add_context)
    await sim.controllers.rolls.reconcile(Key("demo", "another"))
    caplog.handler.removeFilter(add_context)
    (record,) = [r for r in caplog.records if r.message == "orphaned pod"]
    assert (record.namespace, record.pod) == ("demo", "leaky-1")
    assert not hasattr(record, "roll")


async def test_a_released_pod_with_an_active_roll_is_not_restored():
    sim = leaking(replacements_ready=False)
    await sim.reconcile()
    await sim.run_rolls(rounds=4)
    await sim.restore_orphans()
    assert sim.cluster.pods["leaky-1"].released


async def test_the_same_leak_never_gets_two_podrolls():
    sim = leaking(replacements_ready=False)
    for _ in range(5):
        await sim.reconcile()
        await sim.run_rolls(rounds=1)
    assert len(sim.cluster.rolls_json) == 1


async def test_a_forbidden_owner_reference_does_not_stop_a_roll():
    sim = leaking()

    async def refuse(*_: object) -> None:
        raise TerminalError("Forbidden", "cannot set an owner reference")

    sim.cluster.add_owner = refuse
    await sim.reconcile()
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]


async def test_a_forbidden_release_fails_the_roll_and_changes_nothing():
    sim = leaking()

    async def refuse(*_: object) -> None:
        raise TerminalError("Forbidden", "cannot patch pods")

    sim.cluster.release = refuse
    await sim.reconcile()
    await sim.run_rolls()
    assert sim.phases == ["Failed"]
    recorded = next(iter(sim.cluster.rolls_json.values()))
    assert recorded["status"]["message"] == "release is refused: cannot patch pods"
    assert list(sim.cluster.pods) == ["leaky-1"]


async def test_a_roll_whose_cluster_can_t_be_read_ends():
    """Somebody took a permission from memroll: a retry does not help, and the roll must not block others for ever."""
    sim = leaking()
    await sim.reconcile()
    await sim.step_rolls()

    async def refuse(*_: object) -> None:
        raise TerminalError("Forbidden", "cannot get replicasets")

    find_workload, sim.cluster.find_workload = sim.cluster.find_workload, refuse
    await sim.step_rolls()  # captures evidence with what the announcement has observed
    await sim.step_rolls()
    (recorded,) = sim.cluster.rolls_json.values()
    assert recorded["status"]["message"] == "the cluster can't be read: cannot get replicasets"
    sim.cluster.seconds += 2 * 60 + 1
    await sim.step_rolls()
    assert sim.phases == ["Failed"]
    sim.cluster.find_workload = find_workload


async def test_a_lease_lost_between_record_and_action_prevents_the_action():
    """The record is written, then the process is paused past its Lease: the new leader makes the release."""
    sim = leaking()
    await sim.reconcile()
    await sim.step_rolls()
    writes = len(sim.cluster.writes)
    leadership = iter([True, True, False])
    sim.change_context(leads=lambda: next(leadership))
    await sim.step_rolls()
    assert [w.split()[0] for w in sim.cluster.writes[writes:]] == ["status"]
    assert not sim.cluster.pods["leaky-1"].released
    sim.restart()
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]


async def test_a_roll_in_an_excluded_namespace_fails_with_a_reason():
    sim = leaking()
    await sim.reconcile()
    sim.change_context(excluded=("demo",))
    await sim.run_rolls(rounds=3)
    assert sim.phases == ["Failed"]
    (ended,) = sim.cluster.rolls_json.values()
    assert ended["status"]["message"] == "memroll does not act in this namespace"
    assert not sim.cluster.pods["leaky-1"].released


async def test_a_roll_created_by_a_person_needs_no_policy():
    sim = leaking()
    sim.cluster.policies_json.clear()
    manifest = {"metadata": {"name": "by-hand", "namespace": "demo"}, "spec": {"podName": "leaky-1"}}
    await sim.cluster.create_roll("demo", manifest)
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]
    assert sim.cluster.evicted == ["uid-leaky-1"]


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("writes", range(14))
async def test_a_process_killed_after_any_write_rolls_once_and_leaves_no_orphaned_pod(writes, replicas):
    """The process is killed right after its n-th write; the next one continues from the state of the cluster alone."""
    sim = leaking(replicas)
    sim.cluster.writes_left = writes
    for _ in range(30):
        try:
            await sim.reconcile()
            await sim.step_rolls()
        except ProcessKilled:
            sim.restart()
            await sim.restore_orphans()
        sim.cluster.settle()
    assert sim.cluster.evicted == ["uid-leaky-1"]
    assert sim.phases == ["Succeeded"]
    assert len(sim.cluster.pods) == replicas
    assert not any(p.released for p in sim.cluster.pods.values())
    assert sim.cluster.min_ready == replicas


@pytest.mark.parametrize("writes", range(14))
async def test_a_rollback_continues_after_the_process_was_killed(writes):
    sim = leaking(replacements_ready=False)
    sim.cluster.writes_left = writes
    for _ in range(90):
        try:
            await sim.step_rolls()
            if not sim.cluster.rolls_json:
                await sim.reconcile()
        except ProcessKilled:
            sim.restart()
            await sim.restore_orphans()
        sim.cluster.settle()
    assert sim.cluster.evicted == []
    assert sim.phases == ["Failed"]
    assert list(sim.cluster.pods) == ["leaky-1"]
    assert not sim.cluster.pods["leaky-1"].released


async def test_two_concurrent_operators_roll_a_pod_once():
    """Even without a Lease the PodRoll decides: its name and version are the same for both."""
    sim = leaking()
    twin = Simulation(sim.cluster, sim.prometheus)
    for _ in range(15):
        await sim.reconcile()
        await twin.reconcile()
        await sim.step_rolls()
        await twin.step_rolls()
        sim.cluster.settle()
    assert sim.cluster.evicted == ["uid-leaky-1"]
    assert sim.phases == ["Succeeded"]


async def test_a_podroll_that_is_not_created_for_a_temporary_error_is_created_soon():
    spec = FAST | {"interval": "60s"}
    sim = Simulation(FakeCluster(1), FakePrometheus({"id-leaky-1": line(0.5)}), spec)
    create = sim.cluster.create_roll

    async def fail(namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        raise ClusterUnavailableError("Timeout", "the API server did not answer")

    sim.cluster.create_roll = fail
    assert 12 <= await sim.reconcile() <= 18
    assert sim.blocked_message == "its PodRoll can't be created: the API server did not answer"
    assert sim.condition("Ready")[0] == "True"
    sim.cluster.create_roll = create
    assert await sim.reconcile() == pytest.approx(60, rel=0.06)
    assert len(sim.cluster.rolls_json) == 1


async def test_a_policy_that_is_never_reconciled_without_an_error_can_be_alerted_on():
    name, labels = "memroll_last_reconcile_timestamp_seconds", {"namespace": "demo", "policy": "leaky"}
    sim = leaking()
    sim.cluster.policies_json["leaky"] = policy_json(FAST | {"interval": "soon"})
    started_s = sim.cluster.seconds
    for _ in range(3):
        await sim.reconcile()
        sim.cluster.seconds += 60
    assert sim.condition("Ready")[1] == "Invalid"
    assert sim.metrics.registry.get_sample_value(name, labels) == at(started_s).timestamp()
    del sim.cluster.policies_json["leaky"]
    await sim.reconcile()
    assert sim.metrics.registry.get_sample_value(name, labels) is None


async def test_a_policy_in_an_excluded_namespace_is_not_alerted_on():
    sim = leaking()
    sim.change_context(excluded=("demo",))
    await sim.reconcile()
    labels = {"namespace": "demo", "policy": "leaky"}
    assert sim.metrics.registry.get_sample_value("memroll_last_reconcile_timestamp_seconds", labels) is None


async def test_a_pod_that_the_kubelet_evicted_is_counted_and_neither_watched_nor_rolled():
    sim = leaking(replicas=2)
    sim.cluster.pods["leaky-2"] = replace(
        sim.cluster.pods["leaky-2"], phase="Failed", ready=False, node_pressure_evicted_at=at(-60)
    )
    await sim.reconcile()
    assert sim.status["pods"]["total"] == 1
    assert [r["spec"]["podName"] for r in sim.cluster.rolls_json.values()] == ["leaky-1"]
    (entry,) = sim.status["ledger"]
    assert (entry["nodePressureEvictions"], entry.get("oomKills", 0)) == (1, 0)
    assert all("leaky-2" not in names for _, _, names in sim.prometheus.prefilters)


async def test_a_pod_that_the_kubelet_evicts_during_its_roll_is_replaced_and_removed():
    sim = leaking()
    await sim.reconcile()
    for _ in range(3):
        await sim.step_rolls()
    assert sim.phases == ["Replacing"]
    sim.cluster.pods["leaky-1"] = replace(sim.cluster.pods["leaky-1"], phase="Failed", ready=False)
    await sim.run_rolls()
    assert sim.phases == ["Succeeded"]
    assert sim.cluster.evicted == []
    await sim.restore_orphans()
    assert sim.cluster.evicted == ["uid-leaky-1"], "the record of the pod has the labels of a released one"


async def test_a_pod_that_has_ended_before_its_roll_is_not_rolled():
    sim = leaking()
    await sim.reconcile()
    sim.cluster.pods["leaky-1"] = replace(sim.cluster.pods["leaky-1"], phase="Failed", ready=False)
    await sim.run_rolls()
    (recorded,) = sim.cluster.rolls_json.values()
    assert (recorded["status"]["phase"], recorded["status"]["reason"]) == ("Aborted", "PodGone")
    assert sim.cluster.evicted == []


async def test_a_policy_whose_labels_are_written_all_the_time_gets_its_status_and_no_second_reconcile():
    sim = leaking()
    reads = len(sim.prometheus.prefilters)
    write_status = sim.cluster.write_status

    async def after_a_label(plural: str, namespace: str, name: str, version: str, status: dict) -> dict:
        sim.cluster.write_status = write_status
        if plural == "memorypolicies":
            sim.cluster.policies_json["leaky"]["metadata"] |= {"resourceVersion": "77", "labels": {"at": "now"}}
        return await write_status(plural, namespace, name, version, status)

    sim.cluster.write_status = after_a_label
    assert await sim.reconcile() > 1
    assert sim.condition("Ready")[0] == "True"
    assert len(sim.prometheus.prefilters) == reads + 1


async def test_a_policy_whose_spec_changed_during_its_reconcile_is_reconciled_again():
    sim = leaking()
    write_status = sim.cluster.write_status

    async def after_an_edit(plural: str, namespace: str, name: str, version: str, status: dict) -> dict:
        sim.cluster.policies_json["leaky"]["metadata"] |= {"resourceVersion": "77", "generation": 2}
        return await write_status(plural, namespace, name, version, status)

    sim.cluster.write_status = after_an_edit
    assert await sim.reconcile() == MIN_REPEAT_S
    assert "conditions" not in sim.cluster.policies_json["leaky"].get("status", {})
