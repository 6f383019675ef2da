"""Reading JSON that others wrote: a field of an unexpected shape reads as empty, and nothing here raises."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def _at(obj: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(key)
    return obj


def mapping(obj: object, *path: str) -> dict[str, Any]:
    value = _at(obj, path)
    return value if isinstance(value, dict) else {}


def mappings(obj: object, *path: str) -> list[dict[str, Any]]:
    """Return the objects of a list; items that are something else are left out."""
    value = _at(obj, path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(obj: object, *path: str) -> dict[str, str]:
    """Return the string entries of a mapping of labels or annotations."""
    return {k: v for k, v in mapping(obj, *path).items() if isinstance(v, str)}


def text(obj: object, *path: str) -> str:
    value = _at(obj, path)
    return value if isinstance(value, str) else ""


def number(obj: object, *path: str, default: int = 0) -> int:
    value = _at(obj, path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def flag(obj: object, *path: str) -> bool:
    return _at(obj, path) is True


def moment(obj: object, *path: str) -> datetime | None:
    """Return an RFC 3339 time in UTC."""
    try:
        value = datetime.fromisoformat(text(obj, *path))
        return value.astimezone(UTC) if value.tzinfo else None
    except (ValueError, OverflowError):
        return None
