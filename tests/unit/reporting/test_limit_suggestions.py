"""Suggested limits: from exits near one usage, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.api.limit_suggestion import MAX_EXITED_CONTAINERS, MAX_EXITS, ObservedExit
from memroll.detection.assessment import Assessment
from memroll.reporting.event_builder import outcome_events
from memroll.reporting.events import EventReason, EventType
from memroll.reporting.limit_suggestions import find_suggestions, update_exits
from memroll.reporting.outcome import MeasuredExit, Outcome
from memroll.reporting.status import build_status
from tests.builders import MIB, NOW, at, container, healthy_verdict, pod, policy

GIB = 1024 * MIB
KEY = ("Deployment/leaky", "5d", "app")


def exits(*mib, grew=True, key=KEY, first=0):
    return tuple(
        MeasuredExit(
            key,
            ObservedExit(
                uid="u", time=at(-3600 * (first + i + 1)), usage_bytes=None if m is None else int(m * MIB), grew=grew
            ),
        )
        for i, m in enumerate(mib)
    )


def outcome(*measured, usage_mib=300.0, limit=GIB, status=None, **changes):
    verdict = replace(healthy_verdict(), usage_bytes=usage_mib * MIB)
    watching = policy() if status is None else policy().model_copy(update={"status": status})
    made = Assessment(pod(**changes), container(limit_bytes=limit), verdict)
    return Outcome(watching, NOW, 1, (made,), measured_exits=tuple(measured))


def suggested(*measured, **changes):
    found = outcome(*measured, **changes)
    return [(s.limit, s.exits) for s in find_suggestions(update_exits((), found), found)]


def test_three_exits_near_one_usage_are_a_suggestion():
    found = outcome(*exits(515, 520, 530))
    (suggestion,) = build_status(found).suggestions
    assert (suggestion.workload, suggestion.container, suggestion.limit) == ("Deployment/leaky", "app", "510Mi")
    assert suggestion.message == (
        "containers exited 3 times near 520.0 MiB, and were not OOM-killed; "
        "if that is a limit of the runtime, set exhaustion.limit: 510Mi"
    )


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        pytest.param((515, 520), [], id="two are too few"),
        pytest.param((300, 515, 900), [], id="at any usage"),
        pytest.param((400, 500, 600), [], id="a fifth apart"),
        pytest.param((515, 520, 530, 80), [("510Mi", 3)], id="and one of another cause"),
        pytest.param((515, 520, 530, 80, 90), [], id="other causes are as frequent"),
        pytest.param((515, 520, 530, 700), [], id="it was higher once"),
        pytest.param((515, 520, 530, None, None), [("510Mi", 3)], id="exits without samples count as none"),
        pytest.param((96.4, 97, 99), [("96Mi", 3)], id="below 100 MiB"),
        pytest.param((940, 935, 938), [("930Mi", 3)], id="near the limit"),
        pytest.param((1010, 1015, 1012), [], id="at the limit: nothing is won"),
        pytest.param((0.9, 0.9, 0.9), [], id="less than a MiB"),
    ],
)
def test_only_a_pattern_is_suggested(usages, expected):
    assert suggested(*exits(*usages), usage_mib=0.0) == expected


def test_memory_that_had_not_grown_is_no_cause():
    assert suggested(*exits(300, 301, 302, grew=False)) == []
    mixed = (*exits(515, 520, 530), *exits(300, 301, 302, grew=False, first=10))
    assert suggested(*mixed) == [], "most exits have another cause"


def test_a_container_that_lives_above_the_usage_does_not_die_of_it():
    assert suggested(*exits(515, 520, 530), usage_mib=560.0) == [("510Mi", 3)]
    assert suggested(*exits(515, 520, 530), usage_mib=600.0) == []


def test_a_limit_that_is_set_already_is_not_suggested_again():
    assert suggested(*exits(515, 520, 530), limit=510 * MIB) == []
    assert suggested(*exits(515, 520, 530), limit=None) == [("510Mi", 3)]


def test_exits_of_a_revision_without_pods_suggest_nothing():
    assert suggested(*exits(515, 520, 530), labels={"pod-template-hash": "7f"}) == []


def test_exits_are_counted_once_and_survive_a_restart():
    first = build_status(outcome(*exits(515, 520)))
    again = build_status(outcome(*exits(515, 520), status=first))
    assert again.exits == first.exits
    assert again.suggestions == ()
    third = build_status(outcome(*exits(530, first=5), status=again))
    assert [s.limit for s in third.suggestions] == ["510Mi"]
    assert build_status(outcome(status=third)).suggestions == third.suggestions


def test_exits_are_bounded_and_the_newest_are_kept():
    many = update_exits((), outcome(*exits(*range(500, 520))))
    (entry,) = many
    assert [e.time for e in entry.exits] == [at(-3600 * (i + 1)) for i in reversed(range(MAX_EXITS))]
    containers = [e for i in range(15) for e in exits(500, key=("Deployment/leaky", f"{i:02}", "app"), first=i)]
    kept = update_exits((), outcome(*containers))
    assert [e.revision for e in kept] == [f"{i:02}" for i in range(MAX_EXITED_CONTAINERS)]


def test_the_event_is_published_once_and_is_no_warning():
    found = outcome(*exits(515, 520, 530))
    events = [e for e in outcome_events(found) if e.reason is EventReason.LIMIT_SUGGESTED]
    assert [(e.type, e.regarding.kind) for e in events] == [(EventType.NORMAL, "MemoryPolicy")]
    assert "set exhaustion.limit: 510Mi" in events[0].message
    later = outcome(status=build_status(found))
    assert [e for e in outcome_events(later) if e.reason is EventReason.LIMIT_SUGGESTED] == []
