from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from memroll.api.conditions import Condition, ConditionType, Status, condition, merge
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import MemoryPolicy
from memroll.api.selector import Selector
from tests.builders import NOW, at, policy, policy_json, roll_json


def test_a_policy_of_just_target_and_mode_has_all_defaults():
    made = policy(interval="5m").spec
    assert (made.growth.window, made.growth.warm_up) == (timedelta(hours=6), timedelta(minutes=30))
    assert made.roll.budgets[0].rolls == 4
    assert made.on_the_wire()["roll"]["maxConcurrent"] == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"selector": {"matchLabels": {"a": "b"}}}, "mode", id="no mode"),
        pytest.param({"mode": "Enforce"}, "exactly one of", id="no target"),
        pytest.param({"mode": "Enforce", "selector": {}}, "at least one of matchLabels", id="an empty selector"),
        pytest.param(
            {"mode": "Observe", "selector": {"matchLabels": {"a": "b,c notin (d)"}}}, "pattern", id="a label's value"
        ),
        pytest.param({"mode": "Observe", "selector": {"matchLabels": {"a=b,c": "d"}}}, "pattern", id="a label's key"),
        pytest.param(
            {"mode": "Observe", "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "`In` of a needs values",
            id="In without values",
        ),
        pytest.param(
            {
                "mode": "Observe",
                "selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
            },
            "`Exists` of a takes no values",
            id="Exists with values",
        ),
        pytest.param(
            {"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}, "growth": {"persist": "7h"}},
            "must not be longer than `growth.window`",
            id="persistence beyond the window",
        ),
        pytest.param(
            {"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}, "interval": "5d"}, "'5d'", id="a day"
        ),
        pytest.param(
            {
                "mode": "Observe",
                "selector": {"matchLabels": {"a": "b"}},
                "roll": {"windows": {"timeZone": "Europe/Belrin"}},
            },
            "'Europe/Belrin' is not in the IANA time zone database",
            id="a misspelt time zone",
        ),
    ],
)
def test_a_bad_policy_is_refused_with_words(spec, words):
    with pytest.raises(ValidationError, match=words):
        MemoryPolicy.read(policy_json(spec))


def test_fields_of_a_newer_schema_are_ignored():
    spec = {"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}, "fromTheFuture": 1}
    assert MemoryPolicy.read(policy_json(spec)).spec.mode == "Observe"


def test_a_status_that_can_t_be_read_counts_as_none():
    raw = policy_json({"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}}) | {"status": {"pods": "many"}}
    assert MemoryPolicy.read(raw).status.pods.total == 0


def test_a_selector_is_written_as_the_api_server_reads_it():
    selector = Selector.model_validate(
        {
            "matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["x", "y"]},
                {"key": "env", "operator": "NotIn", "values": ["dev"]},
                {"key": "has", "operator": "Exists"},
                {"key": "not", "operator": "DoesNotExist"},
            ],
        }
    )
    assert selector.query() == "a=1,b=2,tier in (x,y),env notin (dev),has,!not"


def test_a_roll_reads_back_what_it_writes():
    read = PodRoll.read(roll_json("Replacing", podUID="uid-leaky-abc", times={"announced": "2026-03-01T12:00:00Z"}))
    assert read.active
    assert read.pod_uid == "uid-leaky-abc"
    assert read.spec.on_the_wire()["podUID"] == "uid-leaky-abc"
    assert read.status.on_the_wire()["times"] == {"announced": "2026-03-01T12:00:00Z"}


def _condition(status: Status, seconds: float, type_: ConditionType = ConditionType.READY) -> Condition:
    return condition(type_, status, "Why", "because", generation=1, now=at(seconds))


def test_a_transition_time_moves_only_when_the_status_flips():
    old = (_condition(Status.TRUE, -60),)
    assert merge(old, [_condition(Status.TRUE, 0)])[0].last_transition_time == at(-60)
    assert merge(old, [_condition(Status.FALSE, 0)])[0].last_transition_time == NOW


def test_abnormal_conditions_are_present_only_while_true():
    stalled = _condition(Status.FALSE, 0, ConditionType.STALLED)
    assert merge((), [stalled]) == ()
    assert merge((), [_condition(Status.TRUE, 0, ConditionType.STALLED)]) != ()


def test_evidence_is_captured_by_default_but_no_pod_is_asked():
    made = policy().spec.evidence
    assert (made.http, made.log_lines, made.timeout) == (None, 50, timedelta(seconds=10))
    assert PodRoll.read(roll_json()).spec.evidence == made


@pytest.mark.parametrize("path", ["/", "/debug/memory", "/a/b_c/d-e~f.json/"])
def test_paths_that_may_be_asked(path):
    assert policy(evidence={"http": {"port": 80, "path": path}}).spec.evidence.http.path == path


@pytest.mark.parametrize(
    "evidence",
    [
        *({"http": {"port": 80, "path": path}} for path in (
            "", "a", "//a", "/a//b", "/..", "/a/../b", "/.git", "/a?b", "/a#b", "/a%2e", "/a b", "/a\r\nX: y",
            "/\u00e9", "/" + "a" * 256, "@evil/", "/a\\b",
        )),
        {"http": {"port": 0}},
        {"http": {"port": 65536}},
        {"http": {"port": "web"}},
        {"http": {}},
        {"logLines": 201},
        {"logLines": -1},
        {"timeout": "0s"},
        {"timeout": "61s"},
    ],
)  # fmt: skip
def test_what_may_not_be_asked_is_refused(evidence):
    with pytest.raises(ValidationError):
        policy(evidence=evidence)
