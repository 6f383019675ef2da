"""Label selectors, as a policy writes them: for the API server's query, and against labels that are known."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from memroll.api.base import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

_LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=rf"^([a-z0-9.-]+/)?{_LABEL_NAME}$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=rf"^({_LABEL_NAME})?$")]
"""Label keys and values as Kubernetes has them: nothing in them is a separator of a query."""


class Operator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(Model):
    key: LabelKey
    operator: Operator
    values: tuple[LabelValue, ...] = Field(default=(), max_length=64)

    @model_validator(mode="after")
    def _has_its_values(self) -> Self:
        needs = self.operator in (Operator.IN, Operator.NOT_IN)
        if needs != bool(self.values):
            raise ValueError(f"`{self.operator}` of {self.key} {'needs' if needs else 'takes no'} values")
        return self

    def query(self) -> str:
        values = ",".join(self.values)
        match self.operator:
            case Operator.IN:
                return f"{self.key} in ({values})"
            case Operator.NOT_IN:
                return f"{self.key} notin ({values})"
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


class Selector(Model):
    """A label selector. An empty one is refused: it would select every pod of the namespace by accident."""

    match_labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=32)
    match_expressions: tuple[Requirement, ...] = Field(default=(), max_length=32)

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        if not (self.match_labels or self.match_expressions):
            raise ValueError("must have at least one of matchLabels and matchExpressions")
        return self

    def query(self) -> str:
        """Return the selector as the API server's `labelSelector` parameter takes it."""
        equal = [f"{key}={value}" for key, value in sorted(self.match_labels.items())]
        return ",".join((*equal, *(r.query() for r in self.match_expressions)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the API server would select a pod with these labels."""
        equal = all(labels.get(key) == value for key, value in self.match_labels.items())
        return equal and all(r.matches(labels) for r in self.match_expressions)
