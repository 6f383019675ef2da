"""Events of a roll's steps: what is reported at the end of a roll is true."""

from __future__ import annotations

import pytest

from memroll.api.base import rfc3339
from memroll.reporting.event_builder import roll_step_events
from memroll.reporting.events import EventType
from tests.builders import at, roll

RELEASE = {"hashLabel": "pod-template-hash", "templateHash": "5d"}
REPLACEMENT = {"name": "leaky-new", "uid": "uid-leaky-new"}
BEFORE = roll("Replacing", strategy="Surge", release=RELEASE).status


def reason_of(phase, **status):
    return [str(e.reason) for e in roll_step_events(BEFORE, roll(phase, **status), None)][:1]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param({"release": RELEASE, "reason": "ReplacementNotReady"}, "RollReverted", id="restored"),
        pytest.param({"release": RELEASE, "reason": "StillReleased"}, "RollFailed", id="still released"),
        pytest.param(
            {"release": RELEASE, "reason": "ReplacementNotReady", "times": {"verifying": rfc3339(at(0))}},
            "RollFailed",
            id="the old pod is gone",
        ),
        pytest.param({"reason": "EvictionTimedOut"}, "RollFailed", id="never released"),
    ],
)
def test_a_failed_roll_is_reported_as_reverted_only_if_the_pod_is_restored(status, reason):
    assert reason_of("Failed", message="no", **status) == [reason]


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        pytest.param({"strategy": "Surge", "replacement": REPLACEMENT}, ["ReplacementReady"], id="replaced"),
        pytest.param({"strategy": "Evict", "replacement": REPLACEMENT}, [], id="evicted for want of room"),
        pytest.param({"strategy": "Surge"}, [], id="the workload is gone"),
        pytest.param(
            {"strategy": "Surge", "replacement": REPLACEMENT, "detachment": {"labels": {"app": "leaky"}}},
            [],
            id="drained before",
        ),
    ],
)
def test_a_replacement_is_reported_as_ready_only_if_it_is(status, reasons):
    assert reason_of("Evicting", **status) == reasons


@pytest.mark.parametrize("reason", ["WorkloadGone", "ScaledToZero"])
def test_a_roll_of_a_pod_that_nobody_needs_is_not_reported_as_a_replacement(reason):
    assert reason_of("Aborted", reason=reason, replacement=REPLACEMENT) == ["RollAborted"]


@pytest.mark.parametrize(
    ("before", "reason", "events"),
    [
        pytest.param("Draining", "DrainMetricMissing", ["DrainMetricMissing"], id="it is missing"),
        pytest.param("DrainMetricMissing", "DrainMetricMissing", [], id="it was reported"),
        pytest.param("DrainMetricMissing", "Draining", [], id="it is back"),
    ],
)
def test_a_missing_gauge_of_a_drain_is_reported_once(before, reason, events):
    old = roll("Draining", strategy="Surge", reason=before).status
    found = list(roll_step_events(old, roll("Draining", strategy="Surge", reason=reason, message="no sample"), None))
    assert sorted({str(e.reason) for e in found}) == events
    assert all(e.type is EventType.WARNING and e.message.endswith(": no sample") for e in found)
