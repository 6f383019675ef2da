"""Changes of a policy's status that are written at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from memroll.detection.assessment import Assessment
from memroll.detection.reasons import VerdictReason
from memroll.reporting.outcome import Outcome
from memroll.reporting.status import build_status
from memroll.reporting.status_changes import MAX_AGE, must_be_written
from tests.builders import (
    MIB,
    NOW,
    at,
    container,
    healthy_verdict,
    inconclusive_verdict,
    leak_verdict,
    pod,
    policy,
    records,
    roll,
    suspected_verdict,
)

if TYPE_CHECKING:
    from memroll.api.policy import MemoryPolicy
    from memroll.detection.verdict import ContainerVerdict


def assessed(name: str, verdict: ContainerVerdict) -> Assessment:
    return Assessment(pod(name), container(), verdict)


def outcome(*assessments: Assessment, seconds: float = 300.0, **changes: Any) -> Outcome:
    return Outcome(policy(), at(seconds), len(assessments), assessments, misconfigurations=(), **changes)


def written(before: Outcome) -> MemoryPolicy:
    """Return the policy with the status of a reconcile."""
    return before.policy.model_copy(update={"status": build_status(before)})


def is_written(before: Outcome, after: Outcome, age: timedelta = timedelta(minutes=5)) -> bool:
    after = replace(after, policy=written(before))
    return must_be_written(after, build_status(after), after.now - age)


HEALTHY = assessed("a", healthy_verdict())
USES_MORE = assessed("a", replace(healthy_verdict(), usage_bytes=99.0 * MIB, message="grows by 3 MiB"))
LEAKS, LEAKS_ON = (assessed("a", replace(leak_verdict(s, due=False), usage_bytes=s)) for s in (10_000.0, 9_700.0))
NEARER = assessed("a", leak_verdict(7_000.0, due=False))
EXPLAINED = assessed("a", healthy_verdict(VerdictReason.EXPLAINED_BY_LOAD))
NO_DATA, STALE = (assessed("a", inconclusive_verdict(r)) for r in (VerdictReason.NO_DATA, VerdictReason.STALE_DATA))
BEFORE = outcome(HEALTHY, seconds=0)


def using(*usage_mib: int) -> Outcome:
    """Return a reconcile of healthy pods with this usage."""
    used = [replace(healthy_verdict(), usage_bytes=float(mib * MIB)) for mib in usage_mib]
    return outcome(*(assessed(f"pod-{n}", verdict) for n, verdict in enumerate(used)))


MANY, MANY_IN_ANOTHER_ORDER = using(*range(20)), using(*reversed(range(20)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(BEFORE, outcome(HEALTHY), False, id="nothing"),
        pytest.param(BEFORE, outcome(USES_MORE), False, id="bytes"),
        pytest.param(outcome(LEAKS), outcome(LEAKS_ON), False, id="a leak goes on"),
        pytest.param(outcome(LEAKS), outcome(NEARER), True, id="a leak comes near its limit"),
        pytest.param(BEFORE, outcome(assessed("a", suspected_verdict())), True, id="a verdict"),
        pytest.param(BEFORE, outcome(EXPLAINED), False, id="the reason for which a pod is healthy"),
        pytest.param(outcome(NO_DATA), outcome(STALE), True, id="the reason for which a verdict is inconclusive"),
        pytest.param(MANY, MANY_IN_ANOTHER_ORDER, False, id="healthy pods take turns in the list"),
        pytest.param(BEFORE, outcome(HEALTHY, assessed("b", healthy_verdict())), True, id="a count"),
        pytest.param(BEFORE, outcome(assessed("b", healthy_verdict())), True, id="a pod that is named is gone"),
        pytest.param(BEFORE, outcome(HEALTHY, rolls=records(roll("Draining"))), True, id="a roll"),
        pytest.param(BEFORE, outcome(HEALTHY, conflicting_pods=("b (older)",)), True, id="a condition"),
    ],
)
def test_words_pods_counts_and_conditions_are_written_at_once_and_numbers_are_not(before, after, expected):
    assert is_written(before, after) is expected


@pytest.mark.parametrize("age", [MAX_AGE, timedelta(days=-1)])
def test_numbers_are_written_after_a_while_and_after_the_clock_was_set_back(age):
    assert is_written(BEFORE, outcome(USES_MORE), age)
    assert not is_written(BEFORE, BEFORE, age), "the same status is never written"


def test_a_new_process_writes_the_first_status():
    after = replace(outcome(USES_MORE), policy=written(BEFORE))
    assert must_be_written(after, build_status(after), None)


def test_a_status_of_another_generation_is_written():
    edited = written(BEFORE).model_copy(update={"generation": 2})
    after = replace(outcome(HEALTHY), policy=edited)
    assert must_be_written(after, build_status(after), NOW)
