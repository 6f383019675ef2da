"""Assertions about a finished demo: figures of the services, evidence and rolls."""

from __future__ import annotations

from typing import Any

import pytest

from memroll_demo import assertions
from memroll_demo.assertions import Assertion, ExpectedLoad
from memroll_demo.systems import SourceLine
from tests.unit.demo.builders import roll, successful_demo

FULL_LOAD = ExpectedLoad(requests=7200, ran_to_end=True)
LINE = SourceLine("langflow_like/components.py", 51)


def test_all_assertions_of_a_successful_demo_hold():
    found = assertions.check_services(successful_demo(), FULL_LOAD)
    assert [a.name for a in found if not a.ok] == []
    assert len(found) == 9


BAD: list[Any] = [
    pytest.param("leaky", {"rolls": 1, "rolls_failed": 1}, "leaky was rolled at least twice", "1 rolls, 1 failed",
                 id="too few rolls"),
    pytest.param("leaky-fleet", {"oom_kills": 1}, "leaky-fleet was never OOM-killed", "1 OOM kills", id="an OOM kill"),
    pytest.param("leaky", {"failures": 3, "kinds": {"TimeoutError": 2, "EHOSTUNREACH": 1}},
                 "no request to leaky failed", "3 of 7000 failed: 1 EHOSTUNREACH, 2 TimeoutError", id="a lost request"),
    pytest.param("leaky", {"requests": 100}, "no request to leaky failed",
                 "0 of 100 failed; at least 5040 requests are required", id="hardly any request"),
    pytest.param("highwater", {"rolls_begun": 1}, "highwater was never rolled", "1 rolls",
                 id="a failed roll of a harmless service"),
    pytest.param("warmup", {"rolls": 1, "rolls_begun": 1}, "warmup was never rolled", "1 rolls",
                 id="a roll of a harmless service"),
    pytest.param("control", {"oom_kills": 0}, "control, without a policy, was OOM-killed", "0 OOM kills",
                 id="nothing to compare with"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "assertion", "detail"), BAD)
def test_a_failed_assertion_has_its_figures(name, change, assertion, detail):
    services = successful_demo()
    for field, value in change.items():
        setattr(services[name], field, value)
    assert [(a.name, a.detail) for a in assertions.check_services(services, FULL_LOAD) if not a.ok] == [
        (assertion, detail)
    ]


def test_a_load_that_ended_early_fails_the_assertions():
    found = assertions.check_services(successful_demo(), ExpectedLoad(requests=7200, ran_to_end=False))
    assert [a.detail for a in found if not a.ok] == ["0 of 7000 failed; the load ended early"] * 2


def test_only_services_of_the_run_are_checked():
    found = assertions.check_services({"leaky": successful_demo()["leaky"]}, FULL_LOAD, min_rolls=1)
    assert [a.name for a in found] == [
        "leaky was rolled at least once",
        "leaky was never OOM-killed",
        "no request to leaky failed",
    ]


RIGHT = ("memroll_systems/langflow_like/components.py", 51)
NAMED = "the evidence of langflow-like names the line that leaks"
SKIPPED = {"missing": [{"section": "all", "reason": "skipped: the pod's limit is near, and a roll may take 25s"}]}
NO_TIME = f"nothing (all: {SKIPPED['missing'][0]['reason']})"
EVIDENCE: list[Any] = [
    pytest.param(
        [roll(grown=[RIGHT]), roll(evidence=SKIPPED)], True, f"found {RIGHT[0]}:51, {NO_TIME}", id="no time for one"
    ),
    pytest.param([roll(evidence=SKIPPED)], False, f"found {NO_TIME}", id="no time for any"),
    pytest.param([roll(grown=[RIGHT, ("json/decoder.py", 3)])], True, f"found {RIGHT[0]}:51", id="named first"),
    pytest.param([roll(grown=[("json/decoder.py", 3), RIGHT])], False, "found json/decoder.py:3", id="named second"),
    pytest.param([roll(grown=[RIGHT]), roll()], False, f"found {RIGHT[0]}:51, nothing", id="one roll without"),
    pytest.param([], False, "found no roll", id="no roll"),
    pytest.param([roll(phase="Failed", grown=[RIGHT])], False, "found no roll", id="a roll that failed"),
    pytest.param([roll("langflow-like-weak-84f-x", grown=[RIGHT])], False, "found no roll", id="another service's"),
    pytest.param(
        [roll(evidence={"missing": [{"section": "http", "reason": "TimedOut"}]})], False,
        "found nothing (http: TimedOut)", id="a missing section",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rolls", "ok", "found"), EVIDENCE)
def test_the_evidence_must_name_the_leaking_line_first(rolls, ok, found):
    expected = "expected langflow_like/components.py:51"
    assert assertions.check_evidence_line(rolls, "langflow-like", LINE) == Assertion(NAMED, ok, f"{expected}, {found}")


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}Z"


def timed(created: int, ended: int | None) -> dict[str, Any]:
    return roll(created=at(created), times={"finished": at(ended)} if ended else {})


@pytest.mark.parametrize(
    ("rolls", "ok"),
    [
        ([timed(0, 5), timed(15, 20), timed(30, 34)], True),
        ([timed(30, 34), timed(0, 5), timed(5, 9)], True),
        ([timed(0, 6), timed(5, 20)], False),
        ([timed(0, None), timed(5, 20)], False),
        ([timed(0, 5), timed(15, None)], True),
        ([], False),
    ],
)
def test_rolls_that_overlap_were_not_one_at_a_time(rolls, ok):
    assert assertions.check_one_at_a_time(rolls, "langflow-like").ok is ok


def test_the_lines_that_grew_are_shown_with_their_growth():
    assert assertions.format_grown_lines([roll(grown=[RIGHT])], "langflow-like").splitlines() == [
        "langflow-like: grown in langflow-like-84f-x",
        "     +3.0 MiB  memroll_systems/langflow_like/components.py:51",
    ]
    assert assertions.format_grown_lines([roll()], "langflow-like") == "langflow-like: no evidence"
