"""The policy's own memory limit: its grammar, in the schema and in the parser."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from memroll.api import crd
from memroll.api.memory_limit import MemoryLimit
from memroll.api.policy import OtherMemory, PolicySpec
from tests.builders import MIB, policy

SCHEMA = crd.memory_policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
LIMIT = SCHEMA["properties"]["exhaustion"]["properties"]["limit"]


@pytest.mark.parametrize(
    ("text", "own", "expected"),
    [
        ("50%", 1024 * MIB, 512 * MIB),
        ("100%", 1024 * MIB, 1024 * MIB),
        ("12.5%", 1024 * MIB, 128 * MIB),
        ("50%", None, None),
        ("520Mi", 1024 * MIB, 520 * MIB),
        ("520Mi", None, 520 * MIB),
        ("0.5Gi", None, 512 * MIB),
        ("0.001G", None, 1_000_000),
        ("1.5Gi", None, 1536 * MIB),
        ("500M", None, 500_000_000),
        ("545259520", None, 520 * MIB),
    ],
)
def test_a_limit_is_a_share_of_another_one_or_a_quantity(text, own, expected):
    assert re.search(LIMIT["pattern"], text)
    limit = MemoryLimit.parse(text)
    assert limit.of(own) == expected
    assert policy(exhaustion={"limit": text}).spec.to_dict()["exhaustion"]["limit"] == text


@pytest.mark.parametrize(
    "text",
    ["101%", "9%", "0.9%", "0%", "520", "520Ki", "0Mi", "0.000Gi", "0.5Mi", "-1Gi", "520MB", "half", "", "50 %",
     "9" * 40, "\u0665\u0660%"],
)  # fmt: skip
def test_a_typo_is_refused_with_what_is_allowed(text):
    assert not re.search(LIMIT["pattern"], text) or len(text) > LIMIT["maxLength"]
    with pytest.raises(
        ValueError, match="is not a memory limit: write a percentage from 10% to 100%, or a quantity of"
    ):
        MemoryLimit.parse(text)


@pytest.mark.parametrize("value", [50, 0.5, True, None, ["50%"], {"a": 1}])
def test_another_type_is_refused(value):
    with pytest.raises(ValueError, match="a value of type"):
        MemoryLimit.parse(value)


def test_the_error_names_the_field():
    with pytest.raises(ValidationError) as caught:
        policy(exhaustion={"limit": "120%"})
    assert caught.value.errors()[0]["loc"] == ("exhaustion", "limit")


def test_by_default_there_is_no_limit_and_other_memory_is_only_reported():
    spec = PolicySpec.model_validate({"mode": "Observe", "selector": {"matchLabels": {"a": "b"}}})
    assert (spec.exhaustion.limit, spec.exhaustion.other_memory) == (None, OtherMemory.REPORT)
    assert SCHEMA["properties"]["exhaustion"]["properties"]["otherMemory"]["enum"] == ["Report", "Roll"]
