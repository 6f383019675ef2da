"""What memroll notes on pods, and what it makes of notes that somebody else wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memroll.model.annotations import NOBODY, NOTE_CHARS_MAX, Owners, labels_note, read_labels
from memroll.model.pods import ObjectRef

CONTROLLER = {"api_version": "apps/v1", "kind": "ReplicaSet", "name": "chat-5d", "uid": "rs-1"}
TOP = {"api_version": "apps/v1", "kind": "Deployment", "name": "chat", "uid": "d-1"}
DEEP = "[" * 100_000
HALF_A_PAIR = '{"controller":"\ud800"}'


def owners_note(**changes: Any) -> str:
    return json.dumps({"controller": CONTROLLER | changes})


@pytest.mark.parametrize(
    "owners",
    [
        NOBODY,
        Owners(ObjectRef(**CONTROLLER)),
        Owners(ObjectRef(**CONTROLLER), ObjectRef(**TOP)),
    ],
)
def test_what_is_written_of_owners_is_read_back(owners):
    assert Owners.read(owners.written()) == owners


def test_a_field_of_a_newer_memroll_does_not_hide_the_owners():
    assert Owners.read(owners_note(shard=3)).controller == ObjectRef(**CONTROLLER)


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("", id="empty"),
        pytest.param("?", id="no JSON"),
        pytest.param("null", id="null"),
        pytest.param('["controller"]', id="a list"),
        pytest.param('{"controller":"chat"}', id="a text for an object"),
        pytest.param(owners_note(api_version=["x"]), id="a list for a text"),
        pytest.param(owners_note(kind={"a": "b"}), id="an object for a text"),
        pytest.param(owners_note(name=7), id="a number for a text"),
        pytest.param(owners_note(uid=None), id="null for a text"),
        pytest.param(owners_note(uid=True), id="a truth for a text"),
        pytest.param(owners_note(name=""), id="no name: that of a list"),
        pytest.param(owners_note(uid=""), id="no uid: any object of the name"),
        pytest.param(owners_note(name="../../secrets/x"), id="a path for a name"),
        pytest.param(owners_note(name="x" * 254), id="a long name"),
        pytest.param(json.dumps({"controller": {"kind": "ReplicaSet"}}), id="missing fields"),
        pytest.param(json.dumps({"controller": CONTROLLER, "top": {"name": ["x"]}}), id="an odd top"),
        pytest.param(DEEP, id="100,000 nested brackets"),
        pytest.param('{"controller":' + DEEP[:1000], id="1,000 nested brackets"),
        pytest.param('{"controller":' * 2000, id="nested objects"),
        pytest.param(owners_note(other="x" * NOTE_CHARS_MAX), id="too long"),
        pytest.param(HALF_A_PAIR, id="half of a surrogate pair"),
    ],
)
def test_a_note_that_somebody_else_wrote_names_nobody(note):
    assert Owners.read(note) == NOBODY


def test_what_is_written_of_labels_is_read_back():
    labels = {f"example.com/label-{n}": "x" * 63 for n in range(32)}
    assert read_labels(labels_note(labels)) == labels
    assert read_labels(labels_note({})) == {}


@pytest.mark.parametrize(
    "note",
    [
        "", "?", "[]", '{"app":7}', '{"app":["x"]}', '{"app":null}', '{"a b":"x"}', '{"app":"x y"}', DEEP, HALF_A_PAIR,
        '{"app":"' + "x" * NOTE_CHARS_MAX + '"}', '{"app":' * 5000,
    ],
)  # fmt: skip
def test_labels_that_could_never_have_been_noted_are_none(note):
    assert read_labels(note) == {}
