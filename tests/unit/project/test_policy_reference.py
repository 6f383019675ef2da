"""The tables of docs/policy.md have the models' defaults, and gate names in texts and queries exist."""

from __future__ import annotations

import re
from typing import Any

import pytest

from memroll.api import crd
from memroll.planning.gate_result import Gate
from tests.texts import ROOT

REFERENCE = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
SPEC = crd.memory_policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
GATE_NAME = re.compile(r"""\bgates?\b[`"' =:~(\\]+(?:Gate\.)?([A-Z][a-z]+[A-Za-z]*)\b(?!\()""")
GATE_TEXTS = ("docs/**/*.md", "*.md", "deploy/helm/**/*", "examples/**/*", "operator/**/*.py", "tests/**/*.py")
TYPES = {"GateFunction", "GateResult", "Gate", "ShortText"}
"""Types in annotations of variables with the name `gate`."""


def documented_defaults() -> list[tuple[str, str]]:
    """Return the field and the default of each row of the tables that have a column of defaults."""
    rows, is_table_of_fields = [], False
    for line in REFERENCE.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| Field | Default |"):
            is_table_of_fields = True
        elif not line.startswith("|"):
            is_table_of_fields = False
        elif is_table_of_fields and not line.startswith("|---"):
            rows.append((cells[1].strip("`"), cells[2]))
    return rows


def find_field(path: str) -> tuple[dict[str, Any], bool]:
    """Return the schema of a field, and whether a policy without it is refused."""
    node, required = SPEC, True
    for name in path.split("."):
        required = required and name in node.get("required", [])
        node = node["properties"][name]
    return node, required


def rendered(default: object) -> str:
    """Return a default as the reference shows it, or an empty string."""
    match default:
        case bool():
            return str(default).lower()
        case [{"rolls": rolls, "per": per}]:
            return f"{rolls} per {per}"
        case None | []:
            return ""
    return str(default)


def test_the_tables_of_fields_are_found():
    assert len(documented_defaults()) > 30


@pytest.mark.parametrize(("path", "documented"), documented_defaults())
def test_a_documented_default_is_the_model_s(path, documented):
    field, required = find_field(path)
    default = rendered(field.get("default"))
    if default:
        assert documented.strip("`") == default
    else:
        assert "`" not in documented, "the model has no default"
        assert (documented == "required") == required


def test_the_table_of_gates_has_the_order_of_their_evaluation():
    table = REFERENCE.partition("\n## Gates\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [gate.value for gate in Gate]


def test_every_gate_name_in_texts_and_queries_exists():
    files = {p for pattern in GATE_TEXTS for p in ROOT.glob(pattern) if p.is_file() and p.suffix != ".pyc"}
    unknown = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(files)
        for name in GATE_NAME.findall(path.read_text(encoding="utf-8", errors="replace"))
        if name not in TYPES and name not in {gate.value for gate in Gate}
    ]
    assert unknown == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("blocked by gate `NotDue`: 5h", ["NotDue"]),
        ('memroll_blocked_pods{gate="RateLimited"}', ["RateLimited"]),
        ('{"gate": "Cooldown"}', ["Cooldown"]),
        ("Gates: named checks", []),
        ("the first gate that blocks", []),
    ],
)
def test_a_gate_name_is_found_in_a_text(text, names):
    assert GATE_NAME.findall(text) == names
