"""The generated CRDs: the committed files match the models and Kubernetes' rules for structural schemas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import BaseModel

from memroll.api import crd

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
FOLDERS = ("deploy/crds", "deploy/helm/memroll/files/crds")
CEL_RESERVED = {
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
    "namespace", "null", "package", "return", "true", "var", "void", "while",
}  # fmt: skip
"""Words of CEL that Kubernetes requires to be written as `__word__` where they are the name of a field."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_committed_crds_match_the_models(folder):
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
def test_no_schema_has_a_keyword_that_a_structural_schema_must_not_have(word):
    assert [path for path, node in schemas() if word in node and not path.endswith(".properties")] == []


def test_every_string_list_and_map_is_bounded():
    """The API server estimates the cost of rules by the bounds, and refuses a CRD whose rules may cost too much."""
    unbounded = []
    for path, node in schemas():
        kind = "string" if node.get("x-kubernetes-int-or-string") else node.get("type")
        if kind == "string" and not ({"maxLength", "enum", "format"} & node.keys()):
            unbounded.append(path)
        if kind == "array" and "maxItems" not in node:
            unbounded.append(path)
        if kind == "object" and isinstance(node.get("additionalProperties"), dict) and "maxProperties" not in node:
            unbounded.append(path)
    assert unbounded == []


def lists() -> list[tuple[str, dict[str, Any]]]:
    return [(path, node) for path, node in schemas() if node.get("type") == "array"]


def test_every_list_has_a_type_that_fits_its_entries():
    """Without one, server-side apply replaces a list as a whole, and a later change of the type is a breaking one."""
    wrong = []
    for path, node in lists():
        items = node["items"]
        match node.get("x-kubernetes-list-type"):
            case "atomic":
                continue
            case "set" if items["type"] in ("string", "integer"):
                continue
            case "map" if set(node["x-kubernetes-list-map-keys"]) <= set(items.get("required", ())):
                continue
        wrong.append(path)
    assert wrong == []


def test_no_list_of_a_status_but_the_conditions_can_be_refused_for_a_duplicate():
    kinds = {path.rpartition(".")[2]: n["x-kubernetes-list-type"] for path, n in lists() if ".status." in path}
    assert {name for name, kind in kinds.items() if kind != "atomic"} == {"conditions"}


def regular_expression_costs(schema: Any, path: str = "", items: int = 1) -> Any:
    """Yield path and cost of the patterns in the rules of each int-or-string, as Kubernetes 1.30 estimates it.

    It is a tenth of the longest string that a request can contain, times a quarter of the pattern's length, for each
    item of the lists around it. Before Kubernetes 1.34 `maxLength` does not count here.
    """
    if isinstance(schema, list):
        for value in schema:
            yield from regular_expression_costs(value, path, items)
    if not isinstance(schema, dict):
        return
    if schema.get("x-kubernetes-int-or-string"):
        rules = " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", []))
        yield path, sum(314_573 * -(-len(p) // 4) * items for p in re.findall(r"matches\(r?'([^']*)'\)", rules))
    for key, value in schema.items():
        yield from regular_expression_costs(value, f"{path}.{key}", items * int(schema.get("maxItems", 1)))


def test_kubernetes_1_30_accepts_the_cost_of_every_rule_of_a_number_or_text():
    costs = dict(regular_expression_costs([crd.memory_policy_crd(), crd.pod_roll_crd()]))
    assert len(costs) >= 2
    assert {path: cost for path, cost in costs.items() if cost > 9_000_000} == {}


def test_defaults_are_written_in_the_schema_as_in_yaml():
    spec = crd.memory_policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["required"] == ["mode"]
    properties = spec["properties"]
    assert properties["interval"]["default"] == "5m"
    assert properties["growth"]["default"] == {"perHour": "0.5%", "window": "6h", "warmUp": "30m", "for": "30m"}
    assert properties["exhaustion"]["properties"]["leadTime"]["default"] == "Auto"
    assert properties["roll"]["properties"]["maxConcurrent"]["default"] == 1
    assert "default" not in properties["mode"]


def test_a_union_that_kubernetes_can_t_express_is_an_error():
    class Loose(BaseModel):
        either: int | str

    with pytest.raises(TypeError, match="no structural schema"):
        crd.structural(Loose, defaults=True)


def field(spec: dict[str, Any], path: str) -> dict[str, Any] | None:
    """Return the schema at a path such as ".growth.for", or None."""
    node: dict[str, Any] | None = spec
    for name in path.strip(".").split("."):
        node = (node or {}).get("properties", {}).get(name)
    return node


def test_cel_rules_name_fields_that_exist_and_escape_reserved_words():
    for made in (crd.memory_policy_crd(), crd.pod_roll_crd()):
        spec = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for rule in spec["x-kubernetes-validations"]:
            paths = re.findall(r"\b(?:self|oldSelf)((?:\.\w+\b(?!\())+)", rule["rule"])
            assert paths
            for path in paths:
                assert not CEL_RESERVED & set(path.split(".")), path
                assert field(spec, re.sub(r"__(\w+?)__", r"\1", path)) is not None, path
            assert "fieldPath" not in rule or field(spec, rule["fieldPath"]) is not None


def test_kubectl_shows_the_last_action_of_a_policy_and_accepts_a_short_name_of_a_roll():
    columns = crd.memory_policy_crd()["spec"]["versions"][0]["additionalPrinterColumns"]
    paths = {column["name"]: column["jsonPath"] for column in columns if "priority" not in column}
    assert (paths["Last-Action"], paths["Acted"]) == (".status.lastAction.action", ".status.lastAction.time")
    assert crd.pod_roll_crd()["spec"]["names"]["shortNames"] == ["proll"]


def test_the_paths_of_the_columns_exist():
    for made in (crd.memory_policy_crd(), crd.pod_roll_crd()):
        version = made["spec"]["versions"][0]
        root = version["schema"]["openAPIV3Schema"]
        paths = [c["jsonPath"].partition("[")[0] for c in version["additionalPrinterColumns"]]
        assert [p for p in paths if not p.startswith(".metadata.") and field(root, p) is None] == []


def test_the_files_are_valid_yaml():
    assert [yaml.safe_load(text)["kind"] for text in crd.files().values()] == ["CustomResourceDefinition"] * 2


def fields_without_description(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        found = child.get("items", child) if isinstance(child.get("items"), dict) else child
        if not child.get("description"):
            yield f"{path}.{name}"
        yield from fields_without_description(found, f"{path}.{name}")


def test_kubectl_explain_describes_every_field():
    for made in (crd.memory_policy_crd(), crd.pod_roll_crd()):
        schema = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert list(fields_without_description(schema)) == [".metadata"], "that one is the API server's"
