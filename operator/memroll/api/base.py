"""What all models of the API share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]
Uid = Annotated[str, Field(max_length=64)]
Message = Annotated[str, Field(max_length=1024)]
Word = Annotated[str, Field(max_length=64)]


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone, such as 2026-01-31T12:00:00Z")
    return value.astimezone(UTC)


def rfc3339(value: datetime) -> str:
    """Write a time as Kubernetes does: UTC, whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime,
    AfterValidator(_aware),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Model(BaseModel):
    """A frozen object of the API. Unknown fields are ignored: a newer schema must not stop an older reader."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    def on_the_wire(self) -> dict[str, Any]:
        """Return the JSON object, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class WorkloadRef(Model):
    """A workload of the object's own namespace."""

    api_version: str = Field(min_length=1, max_length=253)
    kind: str = Field(min_length=1, max_length=63)
    name: Name

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"
