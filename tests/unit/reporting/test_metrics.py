from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from memroll.detection.assessment import Assessment
from memroll.errors import PrometheusUnavailableError, TerminalError
from memroll.planning.gate_result import Gate
from memroll.planning.plan import Blocked, Plan
from memroll.reporting.metrics import Metrics
from memroll.reporting.outcome import Outcome
from tests.builders import (
    NOW,
    candidate,
    container,
    exhausting_verdict,
    inconclusive_verdict,
    leak_verdict,
    pod,
    policy,
    records,
    roll,
)


def outcome(**changes):
    leaking = Assessment(pod("a"), container(), leak_verdict())
    unsure = Assessment(pod("b"), container(), inconclusive_verdict())
    blocked = Blocked(candidate(pod=pod("a")), Gate.COOLDOWN, "cooling down")
    made = Outcome(policy(), NOW, watched_pods=2, assessments=(leaking, unsure), plan=Plan((), (blocked,)))
    return replace(made, **changes)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


OWN = {"namespace": "demo", "policy": "leaky"}


def test_a_reconcile_counts_pods_blocked_rolls_and_the_connection():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(), 0.2)
    assert value(metrics, "memroll_pods", **OWN, verdict="at_risk") == 1
    assert value(metrics, "memroll_pods", **OWN, verdict="inconclusive") == 1
    assert value(metrics, "memroll_blocked_pods", **OWN, gate="Cooldown") == 1
    assert value(metrics, "memroll_connection_up", connection="default") == 1
    assert value(metrics, "memroll_last_reconcile_timestamp_seconds", **OWN) == NOW.timestamp()
    metrics.observe_reconcile(outcome(plan=Plan()), 0.2)
    assert value(metrics, "memroll_blocked_pods", **OWN, gate="Cooldown") is None, "it is gone when nothing blocks"


def test_the_cost_of_queries_is_counted_by_connection():
    metrics = Metrics()
    for response_bytes, samples in ((100, 7), (50, None), (10, 0)):
        metrics.observe_query("default", response_bytes, samples)
    metrics.observe_query("other", 1, None)
    assert value(metrics, "memroll_prometheus_samples_total", connection="default") == 7
    assert value(metrics, "memroll_prometheus_response_bytes_total", connection="default") == 160
    assert value(metrics, "memroll_prometheus_samples_total", connection="other") is None, "its store reports none"


def test_the_rate_limit_is_exposed_while_it_blocks():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(), 0.2)
    assert value(metrics, "memroll_roll_rate_limited", **OWN) == 0
    limited = Plan((), (Blocked(candidate(pod=pod("a")), Gate.RATE_LIMITED, "too many"),))
    metrics.observe_reconcile(outcome(plan=limited), 0.2)
    assert value(metrics, "memroll_roll_rate_limited", **OWN) == 1
    metrics.observe_reconcile(outcome(), 0.2)
    assert value(metrics, "memroll_roll_rate_limited", **OWN) == 0


def test_a_reconcile_without_prometheus_is_not_successful():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(error=PrometheusUnavailableError("QueryTimeout", "slow"), assessments=()), 0.2)
    assert value(metrics, "memroll_connection_up", connection="default") == 0
    assert value(metrics, "memroll_reconcile_total", **OWN, result="QueryTimeout") == 1
    assert value(metrics, "memroll_last_reconcile_timestamp_seconds", **OWN) is None


def test_a_deleted_policy_leaves_no_series():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(), 0.2)
    metrics.observe_roll(
        roll("Succeeded", times={"announced": "2026-03-01T12:00:00Z", "finished": "2026-03-01T12:00:08Z"}),
        "leaky",
    )
    assert value(metrics, "memroll_rolls_total", **OWN, outcome="Succeeded") == 1
    assert value(metrics, "memroll_roll_duration_seconds_sum") == 8
    metrics.forget("demo", "leaky")
    left = [s for m in metrics.registry.collect() for s in m.samples if s.labels.get("policy") == "leaky"]
    assert left == []


def test_a_policy_that_does_not_exist_is_no_label():
    metrics = Metrics()
    for i in range(100):
        metrics.observe_roll(roll("Failed", spec={"policy": f"made-up-{i}"}), "")
    assert value(metrics, "memroll_rolls_total", namespace="demo", policy="", outcome="Failed") == 100


def test_a_connection_is_a_label_only_after_a_query():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(assessments=(), error=TerminalError("ConnectionNotFound", "no")), 0.2)
    metrics.observe_reconcile(outcome(assessments=()), 0.2)
    assert value(metrics, "memroll_connection_up", connection="default") is None


DOWN = PrometheusUnavailableError("QueryTimeout", "slow")


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(lambda m: m.forget("demo", "leaky"), id="the policy is deleted"),
        pytest.param(lambda m: m.observe_reconcile(outcome(assessments=()), 0.2), id="suspended, or without pods"),
        pytest.param(
            lambda m: m.observe_reconcile(outcome(policy=policy(prometheus="second")), 0.2),
            id="it names another connection",
        ),
        pytest.param(
            lambda m: m.observe_reconcile(
                outcome(
                    policy=policy(prometheus="misspelt"),
                    assessments=(),
                    error=TerminalError("ConnectionNotFound", "no"),
                ),
                0.2,
            ),
            id="it names a connection that does not exist",
        ),
    ],
)
def test_a_connection_without_a_policy_has_no_series(last):
    metrics = Metrics()
    down = outcome(error=DOWN, assessments=())
    metrics.observe_reconcile(down, 0.2)
    metrics.observe_reconcile(replace(down, policy=policy().model_copy(update={"name": "second-user"})), 0.2)
    last(metrics)
    assert value(metrics, "memroll_connection_up", connection="default") == 0, "another policy queries it"
    metrics.forget("demo", "second-user")
    assert value(metrics, "memroll_connection_up", connection="default") is None
    assert value(metrics, "memroll_connection_up", connection="misspelt") is None


def test_an_error_of_the_api_server_does_not_change_the_gauge_of_the_connection():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(error=DOWN, assessments=()), 0.2)
    metrics.observe_reconcile(outcome(error=TerminalError("Forbidden", "no"), assessments=()), 0.2)
    assert value(metrics, "memroll_connection_up", connection="default") == 0


def test_a_policy_without_a_successful_reconcile_has_a_time_to_alert_on():
    metrics, name = Metrics(), "memroll_last_reconcile_timestamp_seconds"
    for hours in range(3):
        metrics.begin_reconcile("demo", "leaky", NOW + timedelta(hours=hours))
        metrics.observe_reconcile(outcome(error=DOWN, assessments=()), 0.2)
    assert value(metrics, name, **OWN) == NOW.timestamp(), "of the first reconcile, however many follow"
    metrics.observe_reconcile(outcome(now=NOW + timedelta(hours=3)), 0.2)
    metrics.begin_reconcile("demo", "leaky", NOW + timedelta(hours=4))
    assert value(metrics, name, **OWN) == (NOW + timedelta(hours=3)).timestamp()
    metrics.forget("demo", "leaky")
    assert value(metrics, name, **OWN) is None
    metrics.begin_reconcile("demo", "leaky", NOW + timedelta(hours=5))
    assert value(metrics, name, **OWN) == (NOW + timedelta(hours=5)).timestamp(), "a new policy of that name"


def test_no_metric_has_a_label_that_grows_with_the_pods():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(), 0.2)
    labels = {label for m in metrics.registry.collect() for s in m.samples for label in s.labels}
    assert labels <= {
        "namespace",
        "policy",
        "verdict",
        "gate",
        "connection",
        "result",
        "outcome",
        "version",
        "le",
        "mode",
        "effect",
        "task",
    }


@pytest.mark.parametrize(
    ("spec", "mode"), [({}, "Enforce"), ({"mode": "Observe"}, "Observe"), ({"suspend": True}, "Suspended")]
)
def test_the_mode_of_a_policy_is_a_label_even_if_its_reconcile_fails(spec, mode):
    metrics = Metrics()
    metrics.observe_reconcile(outcome(policy=policy(mode="Observe")), 0.2)
    metrics.observe_reconcile(outcome(policy=policy(**spec), error=DOWN, assessments=()), 0.2)
    series = [
        s.labels["mode"] for m in metrics.registry.collect() for s in m.samples if s.name == "memroll_policy_info"
    ]
    assert series == [mode]


def test_leaking_workloads_are_counted_and_not_their_pods():
    leaking = [Assessment(pod(name), container(), leak_verdict()) for name in ("a", "b")]
    released = pod("c", labels={"pod-template-hash": "memroll-released"}, annotations={"memroll.dev/roll": "c-1"})
    near = Assessment(pod("d", controller=None), container(), exhausting_verdict(9.0))
    metrics = Metrics()
    metrics.observe_reconcile(
        outcome(assessments=(*leaking, Assessment(released, container(), leak_verdict()), near)), 0.2
    )
    assert value(metrics, "memroll_leaking_workloads", **OWN) == 1
    assert value(metrics, "memroll_time_to_limit_seconds", **OWN) == 9, "that of the first pod"
    metrics.observe_reconcile(outcome(assessments=()), 0.2)
    assert value(metrics, "memroll_leaking_workloads", **OWN) == 0
    assert value(metrics, "memroll_time_to_limit_seconds", **OWN) is None


def test_only_rolls_that_have_not_ended_are_in_progress():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(rolls=records(roll(), roll("Replacing"), roll("Succeeded"))), 0.2)
    assert value(metrics, "memroll_active_rolls", **OWN) == 2


def killed(at_time):
    return outcome(assessments=(Assessment(pod(), container(oom_killed_at=at_time), leak_verdict()),))


def test_the_last_oom_kill_stays_known_when_its_pod_is_gone():
    metrics = Metrics()
    metrics.observe_reconcile(killed(policy().created_at - timedelta(seconds=1)), 0.2)
    assert value(metrics, "memroll_last_oom_kill_timestamp_seconds", **OWN) is None, "it is older than the policy"
    metrics.observe_reconcile(killed(NOW), 0.2)
    metrics.observe_reconcile(killed(NOW - timedelta(minutes=5)), 0.2)
    metrics.observe_reconcile(outcome(), 0.2)
    assert value(metrics, "memroll_last_oom_kill_timestamp_seconds", **OWN) == NOW.timestamp()


def test_a_new_policy_of_the_same_name_has_its_own_oom_kills():
    metrics = Metrics()
    metrics.observe_reconcile(killed(NOW), 0.2)
    metrics.forget("demo", "leaky")
    metrics.observe_reconcile(killed(NOW - timedelta(minutes=5)), 0.2)
    assert value(metrics, "memroll_last_oom_kill_timestamp_seconds", **OWN) == (NOW - timedelta(minutes=5)).timestamp()


def test_counters_of_rolls_start_at_zero_so_that_the_first_roll_is_an_increase():
    metrics = Metrics()
    metrics.observe_reconcile(outcome(), 0.2)
    for phase in ("Succeeded", "Failed", "Aborted"):
        assert value(metrics, "memroll_rolls_total", **OWN, outcome=phase) == 0
    for effect in ("Effective", "Ineffective", "LeakPersists", "Unknown"):
        assert value(metrics, "memroll_roll_effects_total", **OWN, effect=effect) == 0
