"""Memory limit that a policy sets (`exhaustion.limit`), and the limit that then counts for a container. Pure.

The grammar exists once, for the CRD's schema and for the parser, like those of `quantity`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from memroll.api.quantity import MAX_CHARS, USAGE_THRESHOLD_PATTERN, parse_bytes, parse_percentage, shown

_FRACTION_PATTERN = r"^0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9])(Gi|Ti|G|T)$"
_QUANTITY_PATTERN = rf"^[1-9][0-9]{{0,5}}(\.[0-9]{{1,3}})?(Mi|Gi|Ti|M|G|T)$|{_FRACTION_PATTERN}|^[1-9][0-9]{{6,11}}$"
MEMORY_LIMIT_PATTERN = f"{USAGE_THRESHOLD_PATTERN}|{_QUANTITY_PATTERN}"
"""A percentage from 10%, or a quantity from 1M: lower ones are typos, such as `520` for `520Mi` or `0.9%` for `90%`."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """Ratio of a container's memory limit, or bytes."""

    text: str
    ratio: float | None
    bytes: int | None

    @classmethod
    def parse(cls, value: object) -> MemoryLimit:
        """Parse "50%" or "520Mi"."""
        if isinstance(value, MemoryLimit):
            return value
        is_text = isinstance(value, str) and len(value) <= MAX_CHARS
        if not is_text or not re.fullmatch(MEMORY_LIMIT_PATTERN, value, re.ASCII):  # type: ignore[call-overload]
            allowed = "a percentage from 10% to 100%, or a quantity of at least 1M"
            raise ValueError(f"{shown(value)} is not a memory limit: write {allowed}, such as 50% or 520Mi")
        text = str(value)
        if text.endswith("%"):
            return cls(text, parse_percentage(text), None)
        return cls(text, None, parse_bytes(text))

    def of(self, limit_bytes: int | None) -> int | None:
        """Return this limit in bytes; None for a percentage of no limit."""
        if self.bytes is not None:
            return self.bytes
        assert self.ratio is not None
        return None if limit_bytes is None else int(self.ratio * limit_bytes)


MemoryLimitField = Annotated[
    MemoryLimit,
    BeforeValidator(MemoryLimit.parse),
    PlainSerializer(lambda limit: limit.text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": MEMORY_LIMIT_PATTERN, "maxLength": MAX_CHARS}),
]
