from __future__ import annotations

from memroll.api.selector import LabelSelector


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
