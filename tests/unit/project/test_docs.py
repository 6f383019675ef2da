"""The docs describe all fields, reasons, gates and metrics, and their links are valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from memroll.api import crd
from memroll.api.conditions import ConditionType
from memroll.api.pod_roll import Phase
from memroll.detection.reasons import VerdictReason
from memroll.planning.gate_result import Gate
from memroll.reporting.events import EventReason
from memroll.reporting.metrics import Metrics

ROOT = Path(__file__).parents[3]
PAGES = ("policy", "conditions", "events", "metrics")
REFERENCE = "".join((ROOT / f"docs/{page}.md").read_text(encoding="utf-8") for page in PAGES)


def fields(schema: dict[str, Any], prefix: str = "") -> Any:
    """Yield the paths of all fields, except those inside selectors, which Kubernetes defines."""
    for name, node in schema["properties"].items():
        path = f"{prefix}{name}"
        if "properties" in node and name not in ("selector", "targetRef"):
            yield from fields(node, f"{path}.")
        else:
            yield path


SPEC = crd.memory_policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
NAMED = [
    *fields(SPEC),
    *(reason.value for reason in VerdictReason),
    *(gate.value for gate in Gate),
    *(phase.value for phase in Phase),
    *(type_.value for type_ in ConditionType),
    *(reason.value for reason in EventReason),
    *(m.name + ("_total" if m.type == "counter" else "") for m in Metrics().registry.collect()),
]


@pytest.mark.parametrize("name", NAMED)
def test_the_reference_describes(name):
    assert f"\n| `{name}` |" in REFERENCE or f"| `{name}` |" in REFERENCE


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_have_a_target(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t]
    assert [t for t in targets if t and not ((ROOT / page).parent / t).exists()] == []


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_tests_that_are_named_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"\btests/[\w./-]*\w/?", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_promise_about_faults_and_tenants_names_a_test():
    for page in ("faults", "hardening"):
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
        (table,) = re.findall(r"\n\| Promise \| Tests \|\n\|[- |]+\n((?:\|.*\n)+)", text)
        rows = table.splitlines()
        assert len(rows) > 5
        assert [row for row in rows if "`tests/" not in row.rpartition(" | ")[2]] == []


def test_the_readme_names_only_make_targets_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert f"\n{target}:" in makefile, target
