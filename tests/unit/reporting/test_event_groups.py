"""Events about many pods of a policy."""

from __future__ import annotations

from memroll.reporting.event_groups import PodFinding, group_findings
from memroll.reporting.events import Event, EventReason, EventType, Regarding

POLICY = Regarding("memroll.dev/v1alpha1", "MemoryPolicy", "ai", "chat", "p")


def findings(count: int, reason: EventReason = EventReason.LEAK_SUSPECTED, cause: str = "") -> list[PodFinding]:
    """Return one finding for each of this many pods."""
    found = []
    for i in range(count):
        event = Event(Regarding("v1", "Pod", "ai", f"chat-{i}", f"u{i}"), EventType.NORMAL, reason, "may leak", "app")
        found.append(PodFinding(f"chat-{i}", f"Pod chat-{i}: may leak", (event,), cause))
    return found


def test_a_few_pods_have_events_of_their_own():
    events = list(group_findings(POLICY, findings(5)))
    assert [e.regarding.name for e in events] == ["chat-0", "chat-1", "chat-2", "chat-3", "chat-4"]


def test_many_pods_have_one_event_that_names_the_count_and_the_first_of_them():
    (event,) = group_findings(POLICY, findings(40))
    assert (event.regarding, event.reason, event.type) == (POLICY, EventReason.LEAK_SUSPECTED, EventType.NORMAL)
    named = "chat-0, chat-1, chat-2, chat-3, chat-4 and 35 more"
    assert event.message == f"LeakSuspected of 40 pods: {named}. Pod chat-0: may leak"


def test_the_event_about_many_pods_repeats_whatever_their_names_are():
    first, second = (next(iter(group_findings(POLICY, findings(count)))) for count in (40, 41))
    assert first.key == second.key


def test_reasons_and_causes_are_grouped_apart():
    blocked = [findings(6, EventReason.ROLL_BLOCKED, gate) for gate in ("Cooldown", "Concurrency")]
    events = list(group_findings(POLICY, [*blocked[0], *findings(2), *blocked[1]]))
    assert [(e.reason.value, e.subject) for e in events] == [
        ("RollBlocked", "many/Cooldown"), ("LeakSuspected", "app"), ("LeakSuspected", "app"),
        ("RollBlocked", "many/Concurrency"),
    ]  # fmt: skip
    assert "RollBlocked (Cooldown) of 6 pods" in events[0].message


def test_several_containers_of_a_pod_are_one_pod():
    events = list(group_findings(POLICY, findings(3) * 2))
    assert len(events) == 6
