from __future__ import annotations

import pytest

from memroll.api.selector import LabelSelector, meets_requirement


def test_a_selector_is_formatted_as_the_api_server_s_query():
    selector = LabelSelector.model_validate(
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
    assert selector.to_query() == "a=1,b=2,tier in (x,y),env notin (dev),has,!not"


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["a", "b"], (True, False, False)),
        ("NotIn", ["a", "b"], (False, True, True)),
        ("Exists", [], (True, True, False)),
        ("DoesNotExist", [], (False, False, True)),
        ("Gt", ["1"], (None, None, None)),
        ("", [], (None, None, None)),
    ],
)
def test_a_requirement_on_one_label(operator, values, expected):
    """On a label with a listed value, with another one, and on a label that is missing."""
    labels = ({"tier": "a"}, {"tier": "c"}, {"x": "a"})
    assert tuple(meets_requirement(found, "tier", operator, values) for found in labels) == expected
