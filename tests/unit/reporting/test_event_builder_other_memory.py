"""Events about memory outside of a container's processes: reported once, or rolled where the policy opts in."""

from __future__ import annotations

from memroll.detection.assessment import Assessment, describe_growth
from memroll.detection.reasons import VerdictReason
from memroll.detection.verdict import ContainerVerdict, Verdict
from memroll.planning.candidate import Candidate
from memroll.planning.pod_roll_manifest import roll_reason
from memroll.reporting.event_builder import outcome_events
from memroll.reporting.events import EventReason, EventType
from memroll.reporting.metrics import Metrics
from memroll.reporting.outcome import Outcome
from tests.builders import LIMIT, MIB, NOW, container, pod, policy

GROWS = "memory outside of its processes grows by 12.0 MiB per hour"
REMEDY = "a restart of the container would not free a memory volume, a new pod does"


def found(verdict: Verdict, *, due: bool = False) -> Outcome:
    verdict = ContainerVerdict(verdict, VerdictReason.OTHER_MEMORY, GROWS, 100.0 * MIB, None, 3600.0, 1800.0, due)
    return Outcome(policy(), NOW, 1, (Assessment(pod(), container(), verdict),))


def test_a_report_is_a_warning_on_pod_and_policy_with_the_remedy_and_the_field():
    events = list(outcome_events(found(Verdict.SUSPECTED)))
    assert [(e.regarding.kind, e.type, e.reason) for e in events] == [
        ("Pod", EventType.WARNING, EventReason.OTHER_MEMORY_GROWS),
        ("MemoryPolicy", EventType.WARNING, EventReason.OTHER_MEMORY_GROWS),
    ]
    for event in events:
        assert GROWS in event.message
        assert REMEDY in event.message
        assert "exhaustion.otherMemory: Roll" in event.message
    assert events[1].message.startswith("Pod leaky-abc: container app runs out of memory outside of its processes")


def test_it_is_one_event_however_often_it_is_found():
    keys = [[e.key for e in outcome_events(found(Verdict.SUSPECTED))] for _ in range(2)]
    assert keys[0] == keys[1]


def test_a_pod_that_is_rolled_runs_out_of_memory_and_is_not_called_a_leak():
    events = list(outcome_events(found(Verdict.EXHAUSTING, due=True)))
    assert {e.reason for e in events} == {EventReason.MEMORY_EXHAUSTING}
    assert {e.type for e in events} == {EventType.WARNING}
    assert f"limit in 1h, {GROWS}, {REMEDY}" in events[0].message


def test_the_record_of_its_roll_has_the_cause():
    outcome = found(Verdict.EXHAUSTING, due=True)
    (assessment,) = outcome.assessments
    reason = roll_reason(outcome.policy, Candidate(pod(), "app", assessment.verdict, LIMIT))
    assert reason == f"app: {describe_growth(assessment)}"
    assert GROWS in reason


def test_metrics_count_a_reported_pod_as_at_risk():
    metrics = Metrics()
    metrics.observe_reconcile(found(Verdict.SUSPECTED), 0.1)
    labels = {"namespace": "demo", "policy": "leaky", "verdict": "at_risk"}
    assert metrics.registry.get_sample_value("memroll_pods", labels) == 1
