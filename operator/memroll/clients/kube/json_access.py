"""Lenient access to JSON from the API server. A field of an unexpected type reads as empty; nothing here raises.

Each function takes an object and the path of a field in it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeGuard

from memroll.api.base import MAX_YEAR, MIN_YEAR
from memroll.api.evidence import MAX_NUMBER

_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_TIME_CHARS = 64
"""Maximum length of a time in characters, chosen by hand; RFC 3339 with nanoseconds has 35."""


def _get(obj: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(key)
    return obj


def _is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is a string that can be encoded: JSON may have half a surrogate pair."""
    return isinstance(value, str) and (value.isascii() or not _SURROGATE.search(value))


def get_dict(obj: object, *path: str) -> dict[str, Any]:
    value = _get(obj, path)
    return value if isinstance(value, dict) else {}


def get_dicts(obj: object, *path: str) -> list[dict[str, Any]]:
    """Return the objects of a list, without items of any other type."""
    value = _get(obj, path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def get_str_dict(obj: object, *path: str) -> dict[str, str]:
    """Return the entries of an object whose values are strings, such as labels or annotations."""
    return {k: v for k, v in get_dict(obj, *path).items() if _is_text(k) and _is_text(v)}


def get_str(obj: object, *path: str) -> str:
    value = _get(obj, path)
    return value if _is_text(value) else ""


def get_int(obj: object, *path: str, default: int = 0) -> int:
    value = _get(obj, path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def get_count(obj: object, *path: str) -> int:
    """Return an integer that a record can hold; 0 for a negative or larger one."""
    value = get_int(obj, *path)
    return value if 0 <= value <= MAX_NUMBER else 0


def get_bool(obj: object, *path: str) -> bool:
    return _get(obj, path) is True


def get_time(obj: object, *path: str) -> datetime | None:
    """Return an RFC 3339 time in UTC; none outside of the range that a record can hold."""
    return parse_time(get_str(obj, *path))


def parse_time(text: str) -> datetime | None:
    """Parse an RFC 3339 time to UTC; None for anything else, and outside of the range that a record can hold."""
    try:
        value = datetime.fromisoformat(text[:MAX_TIME_CHARS])
    except ValueError:
        return None
    return value.astimezone(UTC) if value.tzinfo and MIN_YEAR <= value.year <= MAX_YEAR else None
