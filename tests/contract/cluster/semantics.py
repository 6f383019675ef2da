"""How the fake API server reads selectors and patches, and how it refuses. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818 - it is an answer
    def __init__(self, status: int, reason: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
        self.body |= {"details": details} if details else {}


def selects(selector: str, labels: dict[str, str]) -> bool:
    """Judge a selector of the query-string form."""
    return all(_requirement(part.strip(), labels) for part in re.split(r",(?![^(]*\))", selector) if part.strip())


def _requirement(part: str, labels: dict[str, str]) -> bool:
    if found := re.fullmatch(r"(\S+) (in|notin) \((.*)\)", part):
        key, operator, values = found.groups()
        return (labels.get(key) in values.split(",")) == (operator == "in")
    if part.startswith("!"):
        return part[1:] not in labels
    key, equals, value = part.partition("=")
    return labels.get(key) == value if equals else key in labels


def merged(old: Any, change: Any) -> Any:
    """RFC 7396."""
    if not isinstance(change, dict):
        return change
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def json_patched(old: Json, operations: list[Json]) -> Json:
    """RFC 6902, as much of it as objects need: test, add, replace, remove on members."""
    new: Json = json.loads(json.dumps(old))
    for operation in operations:
        *parents, last = (p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:])
        holder = new
        for part in parents:
            holder = holder[part]
        if operation["op"] == "test" and holder.get(last) != operation["value"]:
            raise Refused(422, "Invalid", "the server rejected our request due to an error in our request")
        if operation["op"] in ("add", "replace"):
            holder[last] = operation["value"]
        if operation["op"] == "remove":
            holder.pop(last)
    return new
