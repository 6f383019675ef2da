"""JSON annotations that memroll writes on released pods, and their strict parsers.

Anyone may have changed an annotation since memroll wrote it. One that is too long, nested too deeply or of another
shape is parsed as empty. Nothing here raises. Pure.
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

MAX_ANNOTATION_CHARS = 16_384
"""Maximum length of an annotation that is parsed. memroll's own are shorter: at most 32 labels of 380 characters."""


class _Reference(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    api_version: str = Field(min_length=1, max_length=253)
    kind: str = Field(min_length=1, max_length=63)
    name: Name
    uid: str = Field(min_length=1, max_length=64)

    def to_ref(self) -> ObjectRef:
        return ObjectRef(self.api_version, self.kind, self.name, self.uid)


class _OwnersJson(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    controller: _Reference | None = None
    owner: _Reference | None = None


_OWNERS = TypeAdapter(_OwnersJson)
_LABELS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[LabelKey, LabelValue], config=ConfigDict(strict=True))


def _parse(shape: TypeAdapter[T], text: str) -> T | None:
    """Parse an annotation; None for one that is too long or of another shape."""
    if len(text) > MAX_ANNOTATION_CHARS:
        return None
    try:
        return shape.validate_json(text)  # its parser bounds the depth, and reports it like any other error
    except ValueError:  # pydantic's ValidationError is one; so is Python's error for half a surrogate pair
        return None


@dataclass(frozen=True, slots=True)
class RecordedOwners:
    """Controller and workload of a released pod, recorded on the pod for when its PodRoll no longer exists."""

    controller: ObjectRef | None = None
    owner: ObjectRef | None = None

    def to_annotation(self) -> str:
        """Return the annotation value, compact JSON."""
        refs = {"controller": self.controller, "owner": self.owner}
        return _dump({k: _to_json(v) for k, v in refs.items() if v})

    @classmethod
    def from_annotation(cls, text: str) -> RecordedOwners:
        """Parse the value that `to_annotation` returned; NO_OWNERS for anything else."""
        parsed = _parse(_OWNERS, text)
        if parsed is None:
            return NO_OWNERS
        return cls(*(None if ref is None else ref.to_ref() for ref in (parsed.controller, parsed.owner)))


NO_OWNERS = RecordedOwners()


def labels_to_annotation(labels: Mapping[str, str]) -> str:
    """Return the annotation value with the original values of the labels that a detach changes: `{"app":"chat"}`."""
    return _dump(labels)


def labels_from_annotation(text: str) -> dict[str, str]:
    """Parse the value that `labels_to_annotation` returned; no labels for anything else."""
    return _parse(_LABELS, text) or {}


def _to_json(ref: ObjectRef) -> dict[str, str]:
    return {"api_version": ref.api_version, "kind": ref.kind, "name": ref.name, "uid": ref.uid}


def _dump(content: Mapping[str, object]) -> str:
    return json.dumps(dict(content), sort_keys=True, separators=(",", ":"))
