from __future__ import annotations

from dataclasses import replace

from memroll.detection.assessment import Assessment
from memroll.detection.verdict import Code, Inconclusive
from memroll.errors import PrometheusUnavailable
from memroll.planning.plan import Hold, Plan
from memroll.reporting.metrics import Metrics
from memroll.reporting.outcome import Outcome
from tests.builders import NOW, breach, candidate, container, pod, policy, roll


def outcome(**changes):
    leaking = Assessment(pod("a"), container(), breach())
    unsure = Assessment(pod("b"), container(), Inconclusive(Code.NO_DATA, "no samples"))
    hold = Hold(candidate(target=pod("a")), "cooldown", "cooling down")
    made = Outcome(policy(), NOW, targets=2, assessments=(leaking, unsure), plan=Plan((), (hold,)))
    return replace(made, **changes)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


OWN = {"namespace": "demo", "policy": "leaky"}


def test_a_pass_counts_pods_holds_and_the_connection():
    metrics = Metrics()
    metrics.observe_pass(outcome(), 0.2)
    assert value(metrics, "memroll_pods", **OWN, verdict="breaching") == 1
    assert value(metrics, "memroll_pods", **OWN, verdict="inconclusive") == 1
    assert value(metrics, "memroll_holds", **OWN, gate="cooldown") == 1
    assert value(metrics, "memroll_connection_up", connection="default") == 1
    assert value(metrics, "memroll_last_pass_timestamp_seconds", **OWN) == NOW.timestamp()
    metrics.observe_pass(outcome(plan=Plan()), 0.2)
    assert value(metrics, "memroll_holds", **OWN, gate="cooldown") is None, "a hold that has ended is gone"


def test_the_runaway_guard_is_seen_while_it_holds():
    metrics = Metrics()
    metrics.observe_pass(outcome(), 0.2)
    assert value(metrics, "memroll_runaway_guard", **OWN) == 0
    held = Plan((), (Hold(candidate(target=pod("a")), "runaway_guard", "too many"),))
    metrics.observe_pass(outcome(plan=held), 0.2)
    assert value(metrics, "memroll_runaway_guard", **OWN) == 1
    metrics.observe_pass(outcome(), 0.2)
    assert value(metrics, "memroll_runaway_guard", **OWN) == 0


def test_a_pass_without_prometheus_is_not_a_good_pass():
    metrics = Metrics()
    metrics.observe_pass(outcome(trouble=PrometheusUnavailable("QueryTimeout", "slow"), assessments=()), 0.2)
    assert value(metrics, "memroll_connection_up", connection="default") == 0
    assert value(metrics, "memroll_passes_total", **OWN, result="QueryTimeout") == 1
    assert value(metrics, "memroll_last_pass_timestamp_seconds", **OWN) is None


def test_a_policy_that_is_gone_leaves_no_series():
    metrics = Metrics()
    metrics.observe_pass(outcome(), 0.2)
    metrics.observe_roll(
        roll("Succeeded", times={"announced": "2026-03-01T12:00:00Z", "finished": "2026-03-01T12:00:08Z"})
    )
    assert value(metrics, "memroll_rolls_total", **OWN, outcome="Succeeded") == 1
    assert value(metrics, "memroll_roll_duration_seconds_sum") == 8
    metrics.forget("demo", "leaky")
    left = [s for m in metrics.registry.collect() for s in m.samples if s.labels.get("policy") == "leaky"]
    assert left == []


def test_no_metric_has_a_label_that_grows_with_the_pods():
    metrics = Metrics()
    metrics.observe_pass(outcome(), 0.2)
    labels = {label for m in metrics.registry.collect() for s in m.samples for label in s.labels}
    assert labels <= {"namespace", "policy", "verdict", "gate", "connection", "result", "outcome", "version", "le"}
