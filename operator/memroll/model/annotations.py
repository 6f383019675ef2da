"""Notes that memroll leaves on pods as JSON annotations, and reads back strictly: anyone may have written them since.

A note that is too long, nested too deeply or of another shape reads as no note. Nothing here raises.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from memroll.api.base import Name
from memroll.api.selector import LabelKey, LabelValue
from memroll.model.pods import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

NOTE_CHARS_MAX = 16_384
"""Longer than any note that memroll writes (32 labels of 380 characters); longer ones are not parsed at all."""


class _Reference(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    api_version: str = Field(min_length=1, max_length=253)
    kind: str = Field(min_length=1, max_length=63)
    name: Name
    uid: str = Field(min_length=1, max_length=64)

    def as_ref(self) -> ObjectRef:
        return ObjectRef(self.api_version, self.kind, self.name, self.uid)


class _OwnersNote(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    controller: _Reference | None = None
    top: _Reference | None = None


_OWNERS = TypeAdapter(_OwnersNote)
_LABELS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[LabelKey, LabelValue], config=ConfigDict(strict=True))


def _read(shape: TypeAdapter[T], note: str) -> T | None:
    """Parse a note of this shape; None for one that is too long or not of it."""
    if len(note) > NOTE_CHARS_MAX:
        return None
    try:
        return shape.validate_json(note)  # its parser bounds the depth, and reports it like any other error
    except ValueError:  # pydantic's ValidationError is one; so is what Python says of half a surrogate pair
        return None


@dataclass(frozen=True, slots=True)
class Owners:
    """The controller and the workload of a released pod, noted on the pod for the time when its PodRoll is gone."""

    controller: ObjectRef | None = None
    top: ObjectRef | None = None

    def written(self) -> str:
        parts = {"controller": self.controller, "top": self.top}
        return _compact({k: _fields(v) for k, v in parts.items() if v})

    @classmethod
    def read(cls, note: str) -> Owners:
        """Read what `written` wrote; nobody, where it can't be read."""
        found = _read(_OWNERS, note)
        if found is None:
            return NOBODY
        return cls(*(None if ref is None else ref.as_ref() for ref in (found.controller, found.top)))


NOBODY = Owners()


def labels_note(labels: Mapping[str, str]) -> str:
    """Write the labels that a detach changes, as they were: `{"app":"chat"}`."""
    return _compact(labels)


def read_labels(note: str) -> dict[str, str]:
    """Read what `labels_note` wrote; no labels, where it can't be read."""
    return _read(_LABELS, note) or {}


def _fields(ref: ObjectRef) -> dict[str, str]:
    return {"api_version": ref.api_version, "kind": ref.kind, "name": ref.name, "uid": ref.uid}


def _compact(content: Mapping[str, object]) -> str:
    return json.dumps(dict(content), sort_keys=True, separators=(",", ":"))
