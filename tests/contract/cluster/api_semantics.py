"""Selectors, patches and error responses of the fake API server. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

Json = dict[str, Any]


class RefusedError(Exception):
    """Error response of the fake API server."""

    def __init__(self, status: int, reason: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
        self.body |= {"details": details} if details else {}


def selects(selector: str, labels: dict[str, str]) -> bool:
    """Return whether a selector in its query-string form selects these labels."""
    return all(_requirement(part.strip(), labels) for part in re.split(r",(?![^(]*\))", selector) if part.strip())


def _requirement(part: str, labels: dict[str, str]) -> bool:
    if found := re.fullmatch(r"(\S+) (in|notin) \((.*)\)", part):
        key, operator, values = found.groups()
        return (labels.get(key) in values.split(",")) == (operator == "in")
    if part.startswith("!"):
        return part[1:] not in labels
    key, equals, value = part.partition("=")
    return labels.get(key) == value if equals else key in labels


def apply_merge_patch(old: Any, change: Any) -> Any:
    """Return a JSON merge patch (RFC 7396) applied to an object."""
    if not isinstance(change, dict):
        return change
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = apply_merge_patch(new.get(key), value)
    return new


def apply_json_patch(old: Json, operations: list[Json]) -> Json:
    """Return a JSON patch (RFC 6902) applied: only test, add, replace and remove of members."""
    new: Json = json.loads(json.dumps(old))
    for operation in operations:
        *parents, last = (p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:])
        holder = new
        for part in parents:
            holder = holder[part]
        if operation["op"] == "test" and holder.get(last) != operation["value"]:
            raise RefusedError(422, "Invalid", "the server rejected our request due to an error in our request")
        if operation["op"] in ("add", "replace"):
            holder[last] = operation["value"]
        if operation["op"] == "remove":
            holder.pop(last)
    return new
