"""Base class and field types of all API models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
MAX_IMAGE_CHARS = 512
"""Maximum length of an image's name in a record, chosen by hand. Longer names are truncated."""
MAX_REFERENCE_CHARS = 320
"""Maximum length of a kind and name in the status, in characters: 253 for the name, 63 for the kind, and the slash."""
MAX_UID_CHARS = 64
"""Maximum length of a UID in a record, chosen by hand: the API server's have 36 characters."""
MAX_INTEGER = 2**63 - 1
"""Maximum of an integer in the API, as in all of Kubernetes."""
MIN_YEAR, MAX_YEAR = 1970, 3000
"""Range of a time in years, chosen by hand: a window before it, or a timeout after it, is still a valid time."""

ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
"""Schema of a list that one client owns as a whole. Lists of a status are atomic, except the conditions: of a map or a
set, the API server refuses a duplicate, and with it the whole status."""
SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
"""Schema of a list of texts, each of them once, to which several clients may add."""

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]
Uid = Annotated[str, Field(max_length=MAX_UID_CHARS)]
Message = Annotated[str, Field(max_length=1024)]
ShortText = Annotated[str, Field(max_length=64)]
ImageName = Annotated[str, Field(max_length=MAX_IMAGE_CHARS)]


def _require_zone_and_range(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone, such as 2026-01-31T12:00:00Z")
    if not MIN_YEAR <= value.year <= MAX_YEAR:
        raise ValueError(f"{value.isoformat()} is not between the years {MIN_YEAR} and {MAX_YEAR}")
    return value.astimezone(UTC).replace(microsecond=0)


def rfc3339(value: datetime) -> str:
    """Format a time as Kubernetes does: UTC, whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[  # in whole seconds, as Kubernetes writes them: a model that is written and read again is the same
    datetime,
    AfterValidator(_require_zone_and_range),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class ApiModel(BaseModel):
    """Frozen object of the API. Unknown fields are ignored: a newer schema must not stop an older reader."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="after")
    def _require_64_bits(self) -> Self:
        """Refuse integers that the API server can't store: they could not be converted to a float either."""
        for name, value in self.__dict__.items():
            if type(value) is int and not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise ValueError(f"{to_camel(name)} must be an integer of 64 bits")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def metadata_fields(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of an API object as the fields of its model; a missing one is left to the validation."""
    given = raw.get("metadata")
    meta = given if isinstance(given, dict) else {}
    return {
        "namespace": meta.get("namespace"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
        "generation": meta.get("generation", 1),
        "resource_version": meta.get("resourceVersion", ""),
        "created_at": meta.get("creationTimestamp"),
        "deleting": bool(meta.get("deletionTimestamp")),
    }


class WorkloadRef(ApiModel):
    """Reference to a workload in the object's own namespace."""

    api_version: str = Field(min_length=1, max_length=253)
    """API group and version, such as `apps/v1`."""
    kind: str = Field(min_length=1, max_length=63)
    """Kind, such as `Deployment`."""
    name: Name
    """Name of the workload."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"
