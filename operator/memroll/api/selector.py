"""Label selectors of policies: as a query of the API server, and as a predicate on known labels.

`meets_requirement` is the rule for one label, also for the selectors of other objects: `clients.kube.services` and
`model.placement` call it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from memroll.api.base import ATOMIC, ApiModel

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

_LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=rf"^([a-z0-9.-]+/)?{_LABEL_NAME}$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=rf"^({_LABEL_NAME})?$")]
"""Label keys and values as Kubernetes defines them: no character in them is a separator of a query."""


class LabelOperator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


def meets_requirement(labels: Mapping[str, str], key: str, operator: str, values: Container[object]) -> bool | None:
    """Return whether labels meet a requirement on one label; None for an operator that is none of a selector's."""
    match operator:
        case LabelOperator.IN:
            return labels.get(key) in values
        case LabelOperator.NOT_IN:
            return labels.get(key) not in values
        case LabelOperator.EXISTS:
            return key in labels
        case LabelOperator.DOES_NOT_EXIST:
            return key not in labels
        case _:
            return None


class LabelRequirement(ApiModel):
    """Requirement on one label."""

    key: LabelKey
    """Key of the label."""
    operator: LabelOperator
    """`In`, `NotIn`, `Exists` or `DoesNotExist`."""
    values: tuple[LabelValue, ...] = Field(default=(), max_length=64, json_schema_extra=ATOMIC)
    """Values for `In` and `NotIn`; empty for the other operators."""

    @model_validator(mode="after")
    def _require_matching_values(self) -> Self:
        needs = self.operator in (LabelOperator.IN, LabelOperator.NOT_IN)
        if needs != bool(self.values):
            raise ValueError(f"`{self.operator}` of {self.key} {'needs' if needs else 'takes no'} values")
        return self

    def to_query(self) -> str:
        """Format the requirement as a part of the API server's `labelSelector` parameter."""
        values = ",".join(self.values)
        match self.operator:
            case LabelOperator.IN:
                return f"{self.key} in ({values})"
            case LabelOperator.NOT_IN:
                return f"{self.key} notin ({values})"
            case LabelOperator.EXISTS:
                return self.key
            case LabelOperator.DOES_NOT_EXIST:
                return f"!{self.key}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a pod with these labels meets the requirement."""
        return bool(meets_requirement(labels, self.key, self.operator, self.values))


class LabelSelector(ApiModel):
    """Label selector. An empty one is refused: it would select every pod of the namespace by accident."""

    match_labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=32)
    """Labels that a pod must have, with these values."""
    match_expressions: tuple[LabelRequirement, ...] = Field(default=(), max_length=32, json_schema_extra=ATOMIC)
    """Requirements that a pod must meet in addition to `matchLabels`."""

    @model_validator(mode="after")
    def _require_content(self) -> Self:
        if not (self.match_labels or self.match_expressions):
            raise ValueError("must have at least one of matchLabels and matchExpressions")
        return self

    def to_query(self) -> str:
        """Format the selector as the API server's `labelSelector` parameter."""
        equal = [f"{key}={value}" for key, value in sorted(self.match_labels.items())]
        return ",".join((*equal, *(r.to_query() for r in self.match_expressions)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the API server would select a pod with these labels."""
        equal = all(labels.get(key) == value for key, value in self.match_labels.items())
        return equal and all(r.matches(labels) for r in self.match_expressions)
