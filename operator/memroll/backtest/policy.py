"""Load the policy to replay: a MemoryPolicy file, or the defaults. Called by `memroll backtest`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from memroll.api.base import ApiModel
from memroll.api.cel_checks import violations
from memroll.api.policy import MemoryPolicy, PolicySpec
from memroll.detection.effective_limit import effective_limit
from memroll.detection.parameters import build_parameters
from memroll.errors import TerminalError
from memroll.yaml_files import YamlFileError, read_documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memroll.detection.parameters import DetectionParameters

ASSUMED_ROLL_S = 70.0
"""Assumed duration of a roll in seconds, because history has none; chosen by hand."""
MATCH_ANY = {"matchLabels": {"any": "any"}}
"""Selector for a policy that has none: a valid policy needs one, a replay ignores it."""


def default_policy() -> MemoryPolicy:
    return _policy("the defaults", {})


def limit_for(policy: MemoryPolicy, own_bytes: int | None) -> int | None:
    """Return the limit that counts for a container with this limit of its own. Its node is not known."""
    return effective_limit(policy.spec.exhaustion.limit, own_bytes)[0]


def parameters_for(policy: MemoryPolicy, limit_bytes: int | None) -> DetectionParameters:
    """Return the detection parameters that the operator would use for a container with this limit."""
    return build_parameters(policy, limit_bytes, roll_duration_s=ASSUMED_ROLL_S)


def load(path: Path) -> MemoryPolicy:
    """Read a file with one MemoryPolicy. Mode and selector may be missing: a replay uses neither."""
    content = _read_one(path)
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind != "MemoryPolicy":
        raise _invalid(path, f"kind: {kind!r} must be MemoryPolicy")
    spec = content.get("spec")
    if not isinstance(spec, dict):
        raise _invalid(path, f"spec: {spec!r} must be an object with the policy's fields")
    return _policy(path, spec)


def _read_one(path: Path) -> Any:  # noqa: ANN401 - YAML can have any content
    """Read a file with one document, or a List with one item."""
    try:
        documents = read_documents(path)
    except YamlFileError as error:
        raise TerminalError("PolicyInvalid", str(error)) from error
    if not documents:
        raise _invalid(path, "empty, must have one MemoryPolicy")
    if len(documents) != 1:
        raise _invalid(path, f"{len(documents)} documents, must be one MemoryPolicy: split the file")
    (found,) = documents
    items = found.get("items") if isinstance(found, dict) and found.get("kind") == "List" else None
    if not isinstance(items, list):
        return found
    if len(items) != 1:
        raise _invalid(path, f"a List of {len(items)} objects, must have one MemoryPolicy: split the file")
    return items[0]


def _invalid(source: object, text: str) -> TerminalError:
    return TerminalError("PolicyInvalid", f"{source}: {text}")


def _policy(source: object, raw: dict[str, Any]) -> MemoryPolicy:
    unknown = next(_unknown_fields(PolicySpec, raw, "spec"), None)
    if unknown is not None:
        raise _invalid(source, unknown)
    target = {} if {"selector", "targetRef"} & raw.keys() else {"selector": MATCH_ANY}
    try:
        spec = PolicySpec.model_validate({"mode": "Observe", **target, **raw})
    except ValidationError as error:
        raise _invalid(source, "; ".join(_describe_errors(error))) from error
    refused = "; ".join(violations(spec))
    if refused:
        raise _invalid(source, f"the API server would refuse this policy: {refused}")
    return _without_cluster(spec)


def _without_cluster(spec: PolicySpec) -> MemoryPolicy:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return MemoryPolicy(
        namespace="default", name="backtest", uid="", generation=1, resource_version="", created_at=epoch, spec=spec
    )


def _describe_errors(error: ValidationError) -> Iterator[str]:
    for e in error.errors(include_url=False, include_context=False):
        yield f"{'.'.join(('spec', *map(str, e['loc'])))}: {e['msg'].removeprefix('Value error, ')}"


def _unknown_fields(model: type[ApiModel], raw: dict[str, Any], where: str) -> Iterator[str]:
    """Yield an error for each field that a MemoryPolicy does not have: a misspelt field must not pass as unset."""
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for name, value in raw.items():
        if name not in known:
            yield f"{where}.{name}: no such field; there are: {', '.join(sorted(known))}"
            return
        inner = known[name]
        if isinstance(inner, type) and issubclass(inner, ApiModel) and isinstance(value, dict):
            yield from _unknown_fields(inner, value, f"{where}.{name}")
