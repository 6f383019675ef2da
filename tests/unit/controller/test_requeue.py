"""Delays until a policy is reconciled again."""

from __future__ import annotations

import itertools

import pytest

from memroll.controller.requeue import after_reconcile
from memroll.errors import BoundExceededError, PrometheusUnavailableError, TerminalError
from memroll.reporting.outcome import Outcome
from tests.builders import at, policy

MADE = policy(interval="5m")
SUSPENDED = policy(interval="5m", suspend=True)


def delay(made=MADE, *, age_s: float = 10, **found) -> float:
    return after_reconcile(Outcome(made.model_copy(update={"created_at": at(-age_s)}), at(0), **found))


@pytest.mark.parametrize(
    ("found", "shortest", "longest"),
    [
        pytest.param({"watched_pods": 1}, 285, 315, id="the interval"),
        pytest.param({}, 5, 5, id="a new policy whose pods do not exist yet"),
        pytest.param({"conflicting_pods": ("chat-0 (other)",)}, 285, 315, id="one whose pods another policy watches"),
        pytest.param({"age_s": 601}, 285, 315, id="an older one"),
        pytest.param({"made": SUSPENDED}, 285, 315, id="a new policy that is suspended"),
        pytest.param({"made": policy(interval="5s"), "age_s": 5}, 4.7, 5.3, id="a shorter interval"),
        pytest.param({"error": PrometheusUnavailableError("Timeout", "x")}, 12, 18, id="a temporary error"),
        pytest.param({"error": TerminalError("Invalid", "x")}, 285, 315, id="an error that stays"),
        pytest.param(
            {"made": policy(interval="5s"), "error": BoundExceededError("IntervalTooShort", "x")},
            285,
            315,
            id="a policy beyond a bound, whatever its interval",
        ),
    ],
)
def test_the_next_reconcile_is_sooner_after_an_error_and_while_a_new_policy_has_no_pods(found, shortest, longest):
    assert shortest <= delay(**found) <= longest


@pytest.mark.parametrize(("failures", "shortest", "longest"), [(2, 24, 36), (3, 48, 72), (1000, 48, 72)])
def test_the_delay_after_temporary_errors_grows_up_to_a_minute(failures, shortest, longest):
    outcome = Outcome(MADE, at(0), error=PrometheusUnavailableError("Timeout", "x"))
    delays = {after_reconcile(outcome, failures) for _ in range(20)}
    assert shortest <= min(delays) < max(delays) <= longest


def delay_with_others(seconds: float, namespace: str = "demo", interval: str = "5m") -> float:
    made = policy(interval=interval).model_copy(update={"namespace": namespace, "created_at": at(-9000)})
    return after_reconcile(Outcome(made, at(seconds), watched_pods=1), shares_pods=True)


def test_the_policies_of_one_namespace_are_due_together():
    """Its pods are then listed once."""
    due = {(seconds + delay_with_others(seconds)) % 300 for seconds in (0.0, 17.0, 100.5, 299.0, 1234.0)}
    assert max(due) - min(due) < 0.001
    waits = [delay_with_others(float(seconds)) for seconds in range(300)]
    assert min(waits) >= 60
    assert max(waits) <= 360
    first = delay_with_others(0.0)
    assert delay_with_others(first) == pytest.approx(300)


def test_namespaces_are_due_at_different_times():
    due = sorted(delay_with_others(0.0, f"team-{n}") % 300 for n in range(100))
    assert max(b - a for a, b in itertools.pairwise(due)) < 60
