"""The generated CRDs: what is committed is what the models say, and Kubernetes' structural rules hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from memroll.api import crd

ROOT = Path(__file__).parents[3]
FOLDERS = ("deploy/crds", "deploy/helm/memroll/files/crds")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_committed_crds_are_those_of_the_models(folder):
    committed = {p.name: p.read_text() for p in (ROOT / folder).glob("*.yaml")}
    assert committed == crd.files(), "run `make crds`"


def nodes(schema: Any, path: str = "") -> Any:
    if isinstance(schema, dict):
        yield path, schema
        for key, value in schema.items():
            yield from nodes(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value, path)


def schemas() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for made in (crd.memory_policy_crd(), crd.pod_roll_crd()):
        root = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            found += list(nodes(root["properties"][part], f"{made['spec']['names']['kind']}.{part}"))
    return found


@pytest.mark.parametrize("word", ["$ref", "anyOf", "allOf", "oneOf", "title", "const", "$defs"])
def test_no_schema_has_what_a_structural_schema_may_not(word):
    assert [path for path, node in schemas() if word in node and not path.endswith(".properties")] == []


def test_every_string_list_and_map_is_bounded():
    unbounded = []
    for path, node in schemas():
        kind = node.get("type")
        if kind == "string" and not ({"maxLength", "enum", "format"} & node.keys()):
            unbounded.append(path)
        if kind == "array" and "maxItems" not in node:
            unbounded.append(path)
        if kind == "object" and isinstance(node.get("additionalProperties"), dict) and "maxProperties" not in node:
            unbounded.append(path)
    assert unbounded == []


def test_defaults_stand_in_the_schema_as_a_person_would_write_them():
    spec = crd.memory_policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["required"] == ["mode"]
    properties = spec["properties"]
    assert properties["interval"]["default"] == "5m"
    assert properties["growth"]["default"] == {"perHour": "0.5%", "window": "6h", "warmUp": "30m", "persist": "30m"}
    assert properties["exhaustion"]["properties"]["lead"]["default"] == "Auto"
    assert properties["roll"]["properties"]["maxConcurrent"]["default"] == 1
    assert "default" not in properties["mode"]


def test_a_union_that_kubernetes_can_t_express_is_refused_loudly():
    class Loose(BaseModel):
        either: int | str

    with pytest.raises(TypeError, match="no structural schema"):
        crd.structural(Loose, defaults=True)


def test_the_files_are_readable_yaml():
    assert [yaml.safe_load(text)["kind"] for text in crd.files().values()] == ["CustomResourceDefinition"] * 2
