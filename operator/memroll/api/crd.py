"""Generates the CustomResourceDefinitions from the models. Called by `memroll crds`.

pydantic's JSON Schema becomes a structural schema: references are inlined, keywords that Kubernetes refuses are
dropped, and a union that has no structural form is an error here rather than at `kubectl apply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from memroll.api import GROUP, POLICY_PLURAL, ROLL_PLURAL, VERSION, cel_rules, policy, printer_columns
from memroll.api.conditions import pending_status
from memroll.api.pod_roll import PodRoll, PodRollSpec, PodRollStatus

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]

_DROPPED = ("title", "additionalProperties", "patternProperties", "propertyNames", "$defs", "const")


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """Return the model's structural schema. Raises TypeError for a union that it can't express.

    Serialization mode, because only there pydantic writes defaults as in YAML ("6h").
    """
    raw = model.model_json_schema(by_alias=True, mode="serialization")
    return _inline(raw, raw.get("$defs", {}), _DROPPED if defaults else (*_DROPPED, "default"))


def _inline(node: Schema, definitions: Schema, dropped: tuple[str, ...]) -> Schema:
    node = _resolve(node, definitions)
    schema = {key: value for key, value in node.items() if key not in dropped}
    if "properties" in schema:
        schema["properties"] = {k: _inline(v, definitions, dropped) for k, v in schema["properties"].items()}
    if "items" in schema:
        schema["items"] = _inline(schema["items"], definitions, dropped)
    values = _value_schema(node)
    if values is not None:
        schema["additionalProperties"] = _inline(values, definitions, dropped)
    if schema.get("default", ...) in (None, ""):
        del schema["default"]
    elif "default" in schema:
        schema["default"] = _without_nulls(schema["default"])
    if "description" in schema:
        schema["description"] = " ".join(str(schema["description"]).split())
    return schema


def _value_schema(node: Schema) -> Schema | None:
    """Return the schema of a map's values. A structural schema has none for its keys: the model alone checks them."""
    found = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
    return next((schema for schema in found if isinstance(schema, dict)), None)


def _without_nulls(default: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop fields that are not set: the API server refuses a null where an object is declared."""
    if not isinstance(default, dict):
        return default
    return {key: _without_nulls(value) for key, value in default.items() if value is not None}


def _resolve(node: Schema, definitions: Schema) -> Schema:
    """Follow a reference and drop the null arm of an optional; outer keys take precedence over inner ones."""
    arms = [arm for arm in node.get("anyOf", []) if arm.get("type") != "null"]
    if len(arms) > 1:
        raise TypeError(f"a union has no structural schema: {arms}")
    if arms:
        node = {**arms[0], **{k: v for k, v in node.items() if k != "anyOf"}}
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        outer = {k: v for k, v in node.items() if k != "$ref"}
        return _resolve({**target, **outer}, definitions)
    return node


def _definition(names: Schema, columns: list[Schema], spec: Schema, status: Schema, description: str) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": names,
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": description,
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string", "description": "Group and version of the object."},
                                "kind": {"type": "string", "description": "Kind of the object."},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": status,
                            },
                        }
                    },
                }
            ],
        },
    }


def memory_policy_crd() -> Schema:
    names = {
        "kind": "MemoryPolicy",
        "listKind": "MemoryPolicyList",
        "plural": POLICY_PLURAL,
        "singular": "memorypolicy",
        "shortNames": ["mempol"],
        "categories": ["memory"],
    }
    spec = structural(policy.PolicySpec, defaults=True) | {"x-kubernetes-validations": cel_rules.POLICY}
    status = structural(policy.PolicyStatus, defaults=False) | {"default": pending_status(observedGeneration=-1)}
    return _definition(names, printer_columns.POLICY, spec, status, policy.MemoryPolicy.__doc__ or "")


def pod_roll_crd() -> Schema:
    names = {
        "kind": "PodRoll",
        "listKind": "PodRollList",
        "plural": ROLL_PLURAL,
        "singular": "podroll",
        "shortNames": ["proll"],
        "categories": ["memory"],
    }
    spec = structural(PodRollSpec, defaults=True) | {"x-kubernetes-validations": cel_rules.ROLL}
    status = structural(PodRollStatus, defaults=False) | {"default": pending_status()}
    return _definition(names, printer_columns.ROLL, spec, status, PodRoll.__doc__ or "")


def files() -> dict[str, str]:
    """Return the files of `deploy/crds/`, name to YAML text."""
    header = "# Generated from memroll.api by `make crds`; edit the models, not this file.\n"
    return {
        f"{crd['metadata']['name']}.yaml": header + yaml.safe_dump(crd, sort_keys=False, width=100)
        for crd in (memory_policy_crd(), pod_roll_crd())
    }
