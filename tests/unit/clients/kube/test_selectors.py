"""Label selectors keep their meaning in a query string, or are rejected."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.clients.kube.selectors import selector_string
from memroll.errors import TerminalError


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param({}, "", id="an empty selector"),
        pytest.param({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2", id="labels in one order"),
        pytest.param({"matchLabels": {"a": ""}}, "a=", id="an empty value"),
        pytest.param(
            {
                "matchLabels": {"app": "chat"},
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["b", "a"]},
                    {"key": "track", "operator": "NotIn", "values": ["canary"]},
                    {"key": "x/y", "operator": "Exists"},
                    {"key": "z", "operator": "DoesNotExist", "values": []},
                ],
            },
            "app=chat,tier in (a,b),track notin (canary),x/y,!z",
            id="all operators",
        ),
    ],
)
def test_a_selector_is_converted(selector: dict[str, Any], expected: str) -> None:
    assert selector_string(selector) == expected


@pytest.mark.parametrize(
    "selector",
    [
        pytest.param({"matchLabels": {"a": 1}}, id="a value that is not a string"),
        pytest.param({"matchLabels": ["a"]}, id="labels that are a list"),
        pytest.param({"matchLabels": {"a": "b,c=d"}}, id="a value that would add a requirement"),
        pytest.param({"matchLabels": {"": "b"}}, id="an empty key"),
        pytest.param({"matchExpressions": {"key": "a"}}, id="expressions that are a mapping"),
        pytest.param({"matchExpressions": ["a"]}, id="an expression that is a string"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}, id="an unknown operator"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "In"}]}, id="In without values"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", 1]}]}, id="an invalid value"),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, id="Exists with a value"
        ),
    ],
)
def test_a_selector_that_would_lose_a_part_is_rejected(selector: dict[str, Any]) -> None:
    with pytest.raises(TerminalError, match="Invalid"):
        selector_string(selector)
