"""Annotations on released pods: written by memroll, and changed by anyone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memroll.model.annotations import (
    MAX_ANNOTATION_CHARS,
    NO_OWNERS,
    RecordedOwners,
    labels_from_annotation,
    labels_to_annotation,
)
from memroll.model.pods import ObjectRef

CONTROLLER = {"api_version": "apps/v1", "kind": "ReplicaSet", "name": "chat-5d", "uid": "rs-1"}
OWNER = {"api_version": "apps/v1", "kind": "Deployment", "name": "chat", "uid": "d-1"}
DEEP = "[" * 100_000
HALF_A_PAIR = '{"controller":"\ud800"}'


def owners_annotation(**changes: Any) -> str:
    return json.dumps({"controller": CONTROLLER | changes})


@pytest.mark.parametrize(
    "owners",
    [
        NO_OWNERS,
        RecordedOwners(ObjectRef(**CONTROLLER)),
        RecordedOwners(ObjectRef(**CONTROLLER), ObjectRef(**OWNER)),
    ],
)
def test_owners_survive_a_round_trip(owners):
    assert RecordedOwners.from_annotation(owners.to_annotation()) == owners


def test_an_unknown_field_is_ignored():
    assert RecordedOwners.from_annotation(owners_annotation(shard=3)).controller == ObjectRef(**CONTROLLER)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("?", id="no JSON"),
        pytest.param("null", id="null"),
        pytest.param('["controller"]', id="a list"),
        pytest.param('{"controller":"chat"}', id="a text for an object"),
        pytest.param(owners_annotation(api_version=["x"]), id="a list for a text"),
        pytest.param(owners_annotation(kind={"a": "b"}), id="an object for a text"),
        pytest.param(owners_annotation(name=7), id="a number for a text"),
        pytest.param(owners_annotation(uid=None), id="null for a text"),
        pytest.param(owners_annotation(uid=True), id="a boolean for a text"),
        pytest.param(owners_annotation(name=""), id="no name: the path of a list"),
        pytest.param(owners_annotation(uid=""), id="no uid: any object of this name"),
        pytest.param(owners_annotation(name="../../secrets/x"), id="a path for a name"),
        pytest.param(owners_annotation(name="x" * 254), id="a long name"),
        pytest.param(json.dumps({"controller": {"kind": "ReplicaSet"}}), id="missing fields"),
        pytest.param(json.dumps({"controller": CONTROLLER, "owner": {"name": ["x"]}}), id="an odd owner"),
        pytest.param(DEEP, id="100,000 nested brackets"),
        pytest.param('{"controller":' + DEEP[:1000], id="1,000 nested brackets"),
        pytest.param('{"controller":' * 2000, id="nested objects"),
        pytest.param(owners_annotation(other="x" * MAX_ANNOTATION_CHARS), id="too long"),
        pytest.param(HALF_A_PAIR, id="half of a surrogate pair"),
    ],
)
def test_an_invalid_annotation_contains_no_owners(text):
    assert RecordedOwners.from_annotation(text) == NO_OWNERS


def test_labels_survive_a_round_trip():
    labels = {f"example.com/label-{n}": "x" * 63 for n in range(32)}
    assert labels_from_annotation(labels_to_annotation(labels)) == labels
    assert labels_from_annotation(labels_to_annotation({})) == {}


@pytest.mark.parametrize(
    "text",
    [
        "", "?", "[]", '{"app":7}', '{"app":["x"]}', '{"app":null}', '{"a b":"x"}', '{"app":"x y"}', DEEP, HALF_A_PAIR,
        '{"app":"' + "x" * MAX_ANNOTATION_CHARS + '"}', '{"app":' * 5000,
    ],
)  # fmt: skip
def test_invalid_labels_are_ignored(text):
    assert labels_from_annotation(text) == {}
