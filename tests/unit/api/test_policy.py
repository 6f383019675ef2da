from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from memroll.api.policy import MemoryPolicy
from tests.builders import policy, policy_json


def test_a_policy_with_only_target_and_mode_has_all_defaults():
    made = policy(interval="5m").spec
    assert (made.growth.window, made.growth.warm_up) == (timedelta(hours=6), timedelta(minutes=30))
    assert made.roll.budgets[0].rolls.text == "100%"
    assert made.to_dict()["roll"]["maxConcurrent"] == 1
    assert made.to_dict()["growth"]["for"] == "30m"


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
            {"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}, "growth": {"for": "7h"}},
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
                "roll": {"maintenanceWindows": {"timeZone": "Europe/Belrin"}},
            },
            "'Europe/Belrin' is not in the IANA time zone database",
            id="a misspelt time zone",
        ),
    ],
)
def test_an_invalid_policy_is_refused_with_the_reason(spec, words):
    with pytest.raises(ValidationError, match=words):
        MemoryPolicy.read(policy_json(spec))


def test_fields_of_a_newer_schema_are_ignored():
    spec = {"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}, "fromTheFuture": 1}
    assert MemoryPolicy.read(policy_json(spec)).spec.mode == "Observe"


def test_an_invalid_status_is_discarded():
    raw = policy_json({"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}}) | {"status": {"pods": "many"}}
    assert MemoryPolicy.read(raw).status.pods.total == 0
