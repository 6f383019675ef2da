"""Explanations of verdicts: all checks of all windows, with values as text, in agreement with the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from memroll.detection.explain import ExplainingAssessor, explain_history, quantity_of
from memroll.detection.leak_checks import CONTEXT_CHECKS, HISTORY_CHECKS, LONG_CONTEXT_CHECKS, check_windows
from memroll.detection.parameters import build_parameters
from memroll.detection.reasons import VerdictReason
from memroll.detection.shape_checks import SHAPE_CHECKS
from memroll.model.roll_duration import RollDurations
from tests.builders import LIMIT, MIB, NOW, container, history, line, pod, policy
from tests.fakes import FakePrometheus
from tests.scenario.simulation import FAST

if TYPE_CHECKING:
    from memroll.detection.samples import QueryResult, ReadRequest
    from memroll.detection.series import Series

PARAMETERS = build_parameters(policy(**FAST), LIMIT)
NOW_S = NOW.timestamp()


@pytest.mark.parametrize(
    "check", [*SHAPE_CHECKS, *CONTEXT_CHECKS, *HISTORY_CHECKS, *LONG_CONTEXT_CHECKS], ids=lambda c: c.reason
)
def test_every_check_has_a_statistic_that_can_be_shown(check):
    quantity = quantity_of(check)
    assert quantity.name
    assert quantity.format(0.5)


@pytest.mark.parametrize("slope", [0.0, 0.05, 0.5])
def test_the_first_failed_check_of_a_window_is_that_of_the_verdict(slope):
    subject = history(line(slope))
    explained = explain_history("app", subject, PARAMETERS, NOW_S)
    results = {r.window.window_s: r for r in check_windows(subject, PARAMETERS, NOW_S, ())}
    assert results
    for window in explained.windows:
        if window.insufficient_data:
            assert window.window_s not in results
            continue
        failed = next((c.reason for c in window.checks if not c.passed), None)
        if not results[window.window_s].window.is_short:
            assert failed == results[window.window_s].reason
            assert window.is_leak == results[window.window_s].is_leak


class Recording(FakePrometheus):
    """Prometheus that records its requests for samples."""

    def __init__(self, by_container: dict[str, Series]) -> None:
        super().__init__(by_container)
        self.requests: list[ReadRequest] = []

    async def read(self, connection: str, request: ReadRequest) -> QueryResult:
        self.requests.append(request)
        return await super().read(connection, request)


async def requests_about(number: int) -> tuple[ReadRequest, ReadRequest]:
    """Return the last request of an assessment of three pods, of which only the first grows, and that about one."""
    pods = tuple(pod(f"leaky-{i}", containers=(container(id=f"id-leaky-{i}"),)) for i in range(3))
    prometheus = Recording({f"id-leaky-{i}": line(0.0 if i else 0.5) for i in range(3)})
    durations = RollDurations.measure("leaky", policy().spec.roll.drain, ())
    assessor = ExplainingAssessor(policy(**FAST), pods, durations, NOW)
    await assessor.assess(prometheus)
    assessed = prometheus.requests[-1]
    await assessor.explain(prometheus, pods[number].key.uid)
    return assessed, prometheus.requests[-1]


async def test_the_samples_of_a_candidate_are_those_of_the_assessment():
    assessed, explained = await requests_about(0)
    assert assessed == explained
    assert explained.peers == ["leaky-1", "leaky-2"]


async def test_a_pod_that_is_no_candidate_is_read_like_one():
    _, explained = await requests_about(1)
    assert sorted(explained.pods) == ["leaky-0", "leaky-1", "leaky-2"]
    assert explained.peers == ["leaky-2"]


def test_all_checks_of_the_shape_are_evaluated_and_no_other_one_without_growth():
    (window, *_) = explain_history("app", history(line(0.0)), PARAMETERS, NOW_S).windows
    assert window.checks[0].reason is VerdictReason.NOT_GROWING
    assert (window.checks[0].passed, window.checks[0].observed) == (False, "+0.0 MiB per hour")
    assert window.checks[0].required == "above +64.0 MiB per hour"
    assert [c.reason for c in window.checks] == [c.reason for c in SHAPE_CHECKS]
    assert not window.has_leak_shape


def test_a_maximum_is_shown_as_one():
    checks = {c.reason: c for c in explain_history("app", history(line(0.5)), PARAMETERS, NOW_S).windows[0].checks}
    assert checks[VerdictReason.PEER_PLATEAUED].required.startswith("below ")
    assert checks[VerdictReason.PEER_PLATEAUED].passed


def test_the_urgency_is_explained():
    parameters = build_parameters(policy(**FAST), LIMIT, roll_duration_s=20)
    urgency = explain_history("app", history(line(0.5)), parameters, NOW_S).urgency
    assert urgency is not None
    assert (urgency.due, urgency.usage_bytes > 100 * MIB) == (True, True)


def test_without_a_limit_there_are_no_windows_and_a_reason():
    subject = replace(history(line(0.5)), limit_bytes=None)
    explained = explain_history("app", subject, build_parameters(policy(**FAST), None), NOW_S)
    assert explained.windows == ()
    assert explained.urgency is not None
    assert explained.urgency.reason is VerdictReason.NO_MEMORY_LIMIT


def test_without_samples_there_is_nothing_to_explain():
    explained = explain_history("app", history(line(0.5)), PARAMETERS, NOW_S - 10_000)
    assert (explained.windows, explained.urgency) == ((), None)
