"""docs/api.md is generated from the CustomResourceDefinitions, and is up to date."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING

import pytest

from tests.texts import ROOT

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    loader = SourceFileLoader("api_reference", str(ROOT / "hack" / "api-reference"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_api_reference_is_up_to_date(generator):
    assert (ROOT / "docs/api.md").read_text(encoding="utf-8") == generator.page(), "run `make crds`"


def test_the_check_fails_for_an_outdated_page(generator, monkeypatch, tmp_path):
    monkeypatch.setattr(generator, "PAGE", tmp_path / "api.md")
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    generator.PAGE.write_text("outdated", encoding="utf-8")
    assert generator.main(["--check"]) == 1


@pytest.mark.parametrize(
    ("schema", "row"),
    [
        ({"type": "boolean", "default": False}, "| `x` | boolean | `false` |  |\n"),
        ({"type": "string", "enum": ["A", "B"]}, "| `x` | `A`, `B` |  |  |\n"),
        ({"type": "integer", "minimum": 0, "maximum": 5}, "| `x` | integer, 0 to 5 |  |  |\n"),
        ({"type": "object", "description": "a | b"}, "| `x` | object |  | a \\| b |\n"),
        (
            {"type": "array", "maxItems": 3, "items": {"type": "object"}, "default": []},
            "| `x` | list, at most 3 items: object |  |  |\n",
        ),
    ],
)
def test_a_row_has_type_default_and_description(generator, schema, row):
    assert generator.row("x", schema, is_required=False) == row


def test_fields_of_lists_and_maps_are_listed_below_them(generator):
    item = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema = {"properties": {"pods": {"type": "array", "maxItems": 1, "items": item}}}
    assert [(path, required) for path, _, required in generator.fields(schema)] == [
        ("pods[]", False),
        ("pods[].name", True),
    ]
