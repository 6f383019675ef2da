"""Checks a value against the report's JSON Schema. Supports only the keywords that the schema uses."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.unit.probe.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads((ROOT / "probe/schema/memroll-probe-1.json").read_text(encoding="utf-8"))
NOTES = {"$schema", "$id", "title"}
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "null": lambda v: v is None,
}
CHECKS = {
    "type": lambda v, wanted: any(TYPES[t](v) for t in ([wanted] if isinstance(wanted, str) else wanted)),
    "const": lambda v, wanted: v == wanted,
    "enum": lambda v, wanted: v in wanted,
    "minimum": lambda v, minimum: v is None or v >= minimum,
    "maxItems": lambda v, maximum: len(v) <= maximum,
    "maxLength": lambda v, maximum: len(v) <= maximum,
    "pattern": lambda v, pattern: re.search(pattern, v) is not None,
    "required": lambda v, names: set(names) <= set(v),
}


def problems(value: Any, schema: dict[str, Any] | None = None, where: str = "$") -> list[str]:
    return list(_problems(value, SCHEMA if schema is None else schema, where))


def _problems(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    unknown = set(schema) - set(CHECKS) - NOTES - {"properties", "additionalProperties", "items"}
    assert not unknown, f"{unknown} are not supported here"
    yield from (f"{where}: {k}" for k, wanted in schema.items() if k in CHECKS and not CHECKS[k](value, wanted))
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        yield from (f"{where}.{name}: not in the schema" for name in set(value) - set(properties))
    for name in set(value) & set(properties) if properties else ():
        yield from _problems(value[name], properties[name], f"{where}.{name}")
    for index, item in enumerate(value if "items" in schema else ()):
        yield from _problems(item, schema["items"], f"{where}[{index}]")
