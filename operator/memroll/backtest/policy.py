"""The policy that is replayed: a MemoryPolicy's file, or the defaults."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from memroll.api.base import Model
from memroll.api.policy import MemoryPolicy, PolicySpec
from memroll.detection.assess import rule_of
from memroll.errors import Stalled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memroll.detection.container_history import Rule

ROLL_GUESS_S = 70.0
"""What a roll takes: history does not tell."""
ANYTHING = {"matchLabels": {"any": "any"}}


def default() -> MemoryPolicy:
    return _policy("the defaults", {})


def rule_for(policy: MemoryPolicy, limit_bytes: int | None) -> Rule:
    """Return the rule that the operator would judge a container with this limit by."""
    return rule_of(policy, limit_bytes, roll_s=ROLL_GUESS_S)


def load(path: Path) -> MemoryPolicy:
    """Read a file with one MemoryPolicy. Nothing is selected by it, so it may lack mode and selector."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _invalid(path, str(error.strerror)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _invalid(path, f"not one document of YAML in UTF-8: {error}") from error
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != "MemoryPolicy":
        raise _invalid(path, f"kind: {kind!r} must be MemoryPolicy")
    spec = content.get("spec")
    if not isinstance(spec, dict):
        raise _invalid(path, f"spec: {spec!r} must be an object with the policy's fields")
    return _policy(path, spec)


def _invalid(source: object, text: str) -> Stalled:
    return Stalled("PolicyInvalid", f"{source}: {text}")


def _policy(source: object, raw: dict[str, Any]) -> MemoryPolicy:
    unknown = next(_unknown(PolicySpec, raw, "spec"), None)
    if unknown is not None:
        raise _invalid(source, unknown)
    target = {} if {"selector", "targetRef"} & raw.keys() else {"selector": ANYTHING}
    try:
        spec = PolicySpec.model_validate({"mode": "Observe", **target, **raw})
    except ValidationError as error:
        raise _invalid(source, "; ".join(_problems(error))) from error
    return _of_no_cluster(spec)


def _of_no_cluster(spec: PolicySpec) -> MemoryPolicy:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return MemoryPolicy(
        namespace="default", name="backtest", uid="", generation=1, resource_version="", created_at=epoch, spec=spec
    )


def _problems(error: ValidationError) -> Iterator[str]:
    for e in error.errors(include_url=False, include_context=False):
        yield f"{'.'.join(('spec', *map(str, e['loc'])))}: {e['msg'].removeprefix('Value error, ')}"


def _unknown(model: type[Model], raw: dict[str, Any], where: str) -> Iterator[str]:
    """Name the fields that the policy's kind does not have: a misspelt one must not count as left out."""
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for name, value in raw.items():
        if name not in known:
            yield f"{where}.{name}: no such field; there are: {', '.join(sorted(known))}"
            return
        inner = known[name]
        if isinstance(inner, type) and issubclass(inner, Model) and isinstance(value, dict):
            yield from _unknown(inner, value, f"{where}.{name}")
