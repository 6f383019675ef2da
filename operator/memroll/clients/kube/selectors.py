"""Label selectors: converted from their form in specs to their form in query strings."""

from __future__ import annotations

from memroll.clients.kube.json_access import get_dict, get_dicts, get_str, get_str_dict
from memroll.errors import TerminalError


def selector_string(selector: object) -> str:
    """Convert `{matchLabels, matchExpressions}` to a query string; raise TerminalError for a part that can't be.

    Leaving such a part out would select more pods than its author intended.
    """
    labels = get_str_dict(selector, "matchLabels")
    expressions = get_dicts(selector, "matchExpressions")
    _require(len(labels) == _size(selector, "matchLabels"), "matchLabels")
    _require(len(expressions) == _size(selector, "matchExpressions"), "matchExpressions")
    parts = [f"{_key(k)}={_value(v)}" for k, v in sorted(labels.items())]
    return ",".join(parts + [_requirement(expression) for expression in expressions])


def _requirement(expression: dict[str, object]) -> str:
    key = _key(get_str(expression, "key"))
    operator = get_str(expression, "operator")
    given = expression.get("values") or []
    values = [v for v in given if isinstance(v, str)] if isinstance(given, list) else []
    listed = ",".join(_value(v) for v in sorted(values))
    match operator:
        case "Exists" | "DoesNotExist":
            _require(not given, f"{operator} of {key} takes no values")
            return key if operator == "Exists" else f"!{key}"
        case "In" | "NotIn":
            _require(bool(values) and values == given, f"{operator} of {key} needs values")
            return f"{key} {'in' if operator == 'In' else 'notin'} ({listed})"
        case _:
            raise TerminalError("Invalid", f"unknown operator {operator[:20]!r} in a label selector")


def _size(selector: object, field: str) -> int:
    value = get_dict(selector).get(field)
    return len(value) if isinstance(value, dict | list) else int(value is not None)


def _key(key: str) -> str:
    _require(bool(key) and not set(key) & set(" ,=!()<>"), f"key {key[:63]!r}")
    return key


def _value(value: str) -> str:
    _require(not set(value) & set(" ,=!()<>"), f"value {value[:63]!r}")
    return value


def _require(valid: bool, part: str) -> None:  # noqa: FBT001 - an assertion that raises our error
    if not valid:
        raise TerminalError("Invalid", f"invalid label selector: {part}")
