"""Label selectors, from the form in specs to the form in query strings."""

from __future__ import annotations

from memroll.clients.kube.json_access import mapping, mappings, text, texts
from memroll.errors import Stalled


def selector_string(selector: object) -> str:
    """Write `{matchLabels, matchExpressions}` as a query string; what can't be written is refused, never left out.

    A part that were left out would select more pods than its author meant.
    """
    labels = texts(selector, "matchLabels")
    expressions = mappings(selector, "matchExpressions")
    _demand(len(labels) == _size(selector, "matchLabels"), "matchLabels")
    _demand(len(expressions) == _size(selector, "matchExpressions"), "matchExpressions")
    parts = [f"{_key(k)}={_value(v)}" for k, v in sorted(labels.items())]
    return ",".join(parts + [_requirement(expression) for expression in expressions])


def _requirement(expression: dict[str, object]) -> str:
    key = _key(text(expression, "key"))
    operator = text(expression, "operator")
    given = expression.get("values") or []
    values = [v for v in given if isinstance(v, str)] if isinstance(given, list) else []
    listed = ",".join(_value(v) for v in sorted(values))
    match operator:
        case "Exists" | "DoesNotExist":
            _demand(not given, f"{operator} of {key} takes no values")
            return key if operator == "Exists" else f"!{key}"
        case "In" | "NotIn":
            _demand(bool(values) and values == given, f"{operator} of {key} needs values")
            return f"{key} {'in' if operator == 'In' else 'notin'} ({listed})"
        case _:
            raise Stalled("Invalid", f"unknown operator {operator[:20]!r} in a label selector")


def _size(selector: object, field: str) -> int:
    value = mapping(selector).get(field)
    return len(value) if isinstance(value, dict | list) else int(value is not None)


def _key(key: str) -> str:
    _demand(bool(key) and not set(key) & set(" ,=!()<>"), f"key {key[:63]!r}")
    return key


def _value(value: str) -> str:
    _demand(not set(value) & set(" ,=!()<>"), f"value {value[:63]!r}")
    return value


def _demand(holds: bool, what: str) -> None:  # noqa: FBT001 - an assertion that raises our error
    if not holds:
        raise Stalled("Invalid", f"a label selector that can't be read: {what}")
