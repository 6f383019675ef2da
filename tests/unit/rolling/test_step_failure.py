"""Record of a bug in the steps of a roll: delays, the bound, and how the roll ends."""

from __future__ import annotations

import pytest

from memroll.api.pod_roll import Phase, PodRelease, PodRollStatus
from memroll.api.roll_progress import PhaseTimes
from memroll.rolling.step_failure import after_bug, retry_after_s, without_failure
from tests.builders import at

BUG = IndexError("password=hunter2")
FAILING = after_bug(PodRollStatus(reason="FallingBack", message="restoring the pod"), BUG, at(0))
RELEASE = PodRelease(hash_label="pod-template-hash", template_hash="5d")


def test_the_first_failure_changes_nothing_that_a_rollback_continues_from():
    assert (FAILING.phase, FAILING.reason, FAILING.message) == (None, "FallingBack", "restoring the pod")
    assert FAILING.step_failure is not None
    assert "hunter2" not in FAILING.step_failure.message, "an exception can quote what it failed on"
    assert without_failure(FAILING) == PodRollStatus(reason="FallingBack", message="restoring the pod")


@pytest.mark.parametrize(("seconds", "delay_s"), [(-5, 2), (0, 2), (2, 2), (30, 30), (60, 60), (599, 60)])
def test_the_delay_grows_with_the_time_since_the_first_failure(seconds, delay_s):
    assert retry_after_s(FAILING, at(seconds)) == delay_s
    assert after_bug(FAILING, BUG, at(seconds)) == FAILING, "nothing is written"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "the pod is not changed"),
        ({"release": RELEASE}, "the pod may be released, and is restored"),
        ({"times": PhaseTimes(evicting=at(1))}, "the pod may be evicted"),
        (
            {"times": PhaseTimes(evicting=at(1)), "release": RELEASE},
            "the pod may be evicted, and is restored if it still exists",
        ),
        ({"restarted_at": at(1)}, "the workload may be restarted"),
        (
            {"times": PhaseTimes(evicting=at(1), verifying=at(2))},
            "the old pod is gone or terminating, and its replacement is not checked",
        ),
    ],
)
def test_a_roll_that_has_failed_for_too_long_ends_and_contains_what_may_be_changed(changes, state):
    ended = after_bug(FAILING.model_copy(update=changes), BUG, at(600))
    assert (ended.phase, ended.reason, ended.times.finished) == (Phase.FAILED, "InternalError", at(600))
    prefix = "a bug of memroll (IndexError) has ended each step for 10m, memroll's log has the details: "
    assert ended.message == prefix + state
