"""The docs name everything that people can meet: a new field, reason, gate or metric must be explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from memroll.api import crd
from memroll.api.conditions import ConditionType
from memroll.api.pod_roll import Phase
from memroll.detection.verdict import Code
from memroll.planning.gates import GATES
from memroll.reporting.events import Reason
from memroll.reporting.metrics import Metrics

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "docs/policy.md").read_text(encoding="utf-8")


def fields(schema: dict[str, Any], prefix: str = "") -> Any:
    """Return the paths that a person writes; what is inside a selector is Kubernetes' own."""
    for name, node in schema["properties"].items():
        path = f"{prefix}{name}"
        if "properties" in node and name not in ("selector", "targetRef"):
            yield from fields(node, f"{path}.")
        else:
            yield path


SPEC = crd.memory_policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
NAMED = [
    *fields(SPEC),
    *(code.value for code in Code),
    *(gate.__name__ for gate in GATES),
    *(phase.value for phase in Phase),
    *(type_.value for type_ in ConditionType),
    *(reason.value for reason in Reason),
    *(m.name + ("_total" if m.type == "counter" else "") for m in Metrics().registry.collect()),
]


@pytest.mark.parametrize("name", NAMED)
def test_the_reference_explains(name):
    assert f"\n| `{name}` |" in REFERENCE or f"| `{name}` |" in REFERENCE


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t]
    assert [t for t in targets if t and not ((ROOT / page).parent / t).exists()] == []


def test_the_readme_names_only_commands_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert f"\n{target}:" in makefile, target
