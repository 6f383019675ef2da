"""What a pass has learnt of its rolls, as events and metrics."""

from __future__ import annotations

import pytest

from memroll.api.pod_roll import PodRoll
from memroll.reporting.event_builder import of_outcome
from memroll.reporting.metrics import Metrics
from memroll.reporting.outcome import Outcome
from tests.builders import MIB, NOW, WORKLOAD_REF, policy, roll_json

SAID = "freed 3.1 MiB of 110.0 MiB"


def outcome(effect: str | None) -> Outcome:
    memory = {"beforeBytes": 110 * MIB, "judged": "2026-03-01T12:00:00Z", "message": SAID}
    raw = roll_json(
        "Succeeded",
        podUID="uid-leaky-abc",
        workload=WORKLOAD_REF,
        workloadUID="deploy-1",
        memory=memory | ({"effect": effect} if effect else {}),
    )
    roll = PodRoll.read(raw)
    return Outcome(policy(), NOW, 1, rolls=(roll,), learned=(roll,))


TOLD = [
    ("Ineffective", "RollIneffective", f"Rolling pod leaky-abc did not help, and is on hold for a while: {SAID}"),
    ("LeakPersists", "LeakPersists", f"The leak of pod leaky-abc is back in its replacement: {SAID}"),
]


@pytest.mark.parametrize(("effect", "reason", "text"), TOLD)
def test_what_was_not_worth_it_is_told_where_people_look(effect, reason, text):
    events = [e for e in of_outcome(outcome(effect)) if e.reason.value == reason]
    assert [e.regarding.kind for e in events] == ["PodRoll", "Deployment", "MemoryPolicy"], "the pod is gone by then"
    assert {e.message for e in events} == {text}
    assert {e.type.value for e in events} == {"Warning"}
    assert {e.subject for e in events} == {"roll-1"}, "each roll is told apart"


@pytest.mark.parametrize("effect", ["Helped", None])
def test_what_helped_and_what_nobody_knows_is_no_event(effect):
    assert list(of_outcome(outcome(effect))) == []


@pytest.mark.parametrize(("effect", "label"), [("Helped", "Helped"), ("Ineffective", "Ineffective"), (None, "Unknown")])
def test_effects_are_counted_and_forgotten_with_their_policy(effect, label):
    metrics = Metrics()
    labels = {"namespace": "demo", "policy": "leaky", "effect": label}
    for _ in range(2):
        metrics.observe_pass(outcome(effect), 0.1)
    assert metrics.registry.get_sample_value("memroll_roll_effects_total", labels) == 2
    metrics.forget("demo", "leaky")
    assert metrics.registry.get_sample_value("memroll_roll_effects_total", labels) is None
