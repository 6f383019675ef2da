"""Events and metrics about the effects of rolls."""

from __future__ import annotations

import pytest

from memroll.api.pod_roll import PodRoll
from memroll.reporting.event_builder import outcome_events
from memroll.reporting.metrics import Metrics
from memroll.reporting.outcome import Outcome
from tests.builders import MIB, NOW, WORKLOAD_REF, policy, roll_json

MESSAGE = "freed 3.1 MiB of 110.0 MiB"
INEFFECTIVE = f"The roll of pod leaky-abc was ineffective, and further rolls of its workload are paused: {MESSAGE}"


def outcome(result: str | None) -> Outcome:
    compared = {"beforeBytes": 110 * MIB, "comparedAt": "2026-03-01T12:00:00Z", "message": MESSAGE}
    raw = roll_json(
        "Succeeded",
        podUID="uid-leaky-abc",
        workload=WORKLOAD_REF,
        workloadUID="deploy-1",
        effect=compared | ({"result": result} if result else {}),
    )
    roll = PodRoll.read(raw)
    return Outcome(policy(), NOW, 1, rolls=(roll,), measured_rolls=(roll,))


WITH_EVENTS = [
    (
        "Ineffective",
        "RollIneffective",
        INEFFECTIVE,
    ),
    ("LeakPersists", "LeakPersists", f"The replacement of pod leaky-abc leaks as well: {MESSAGE}"),
]


@pytest.mark.parametrize(("effect", "reason", "text"), WITH_EVENTS)
def test_a_roll_without_the_desired_effect_has_events_on_the_roll_the_workload_and_the_policy(effect, reason, text):
    events = [e for e in outcome_events(outcome(effect)) if e.reason.value == reason]
    assert [e.regarding.kind for e in events] == ["PodRoll", "Deployment", "MemoryPolicy"], "the pod is gone by then"
    assert {e.message for e in events} == {text}
    assert {e.type.value for e in events} == {"Warning"}
    assert {e.subject for e in events} == {"roll-1"}, "each roll has its own event"


@pytest.mark.parametrize("effect", ["Effective", None])
def test_an_effective_roll_and_an_unknown_effect_have_no_event(effect):
    assert list(outcome_events(outcome(effect))) == []


@pytest.mark.parametrize(
    ("effect", "label"), [("Effective", "Effective"), ("Ineffective", "Ineffective"), (None, "Unknown")]
)
def test_effects_are_counted_and_forgotten_with_their_policy(effect, label):
    metrics = Metrics()
    labels = {"namespace": "demo", "policy": "leaky", "effect": label}
    for _ in range(2):
        metrics.observe_reconcile(outcome(effect), 0.1)
    assert metrics.registry.get_sample_value("memroll_roll_effects_total", labels) == 2
    metrics.forget("demo", "leaky")
    assert metrics.registry.get_sample_value("memroll_roll_effects_total", labels) is None
