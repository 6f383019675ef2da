"""The unit tests mirror the code, and docs/architecture.md is a correct map of it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.texts import PAGES as PAGE_PATTERNS
from tests.texts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

UNIT = ROOT / "tests/unit"
PACKAGE = ROOT / "operator/memroll"
OTHER_TREES = {
    "bench": "tests/bench",
    "demo": "examples/demo",
    "local": "deploy/local/localcluster",
    "probe": "probe",
    "real": "examples/real",
    "release": "deploy/release/memroll_release",
    "systems": "examples/systems",
}
OF_THE_REPOSITORY = ("chart", "project")
"""Folders of tests that are about no Python package."""
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


@cache
def source_of_the_operator() -> str:
    return "".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))


def modules_for(test: Path) -> set[str]:
    """Return the names of the modules next to which a test would be, if both were in one folder."""
    folder = test.parent.relative_to(UNIT)
    other = OTHER_TREES.get(folder.parts[0]) if folder.parts else None
    files = (ROOT / other).rglob("*.py") if other else (PACKAGE / folder).glob("*.py")
    return {file.parent.name if file.stem == "__init__" else file.stem for file in files}


def has_a_module(test: Path) -> bool:
    tested = test.stem.removeprefix("test_")
    return any(tested == name or tested.startswith(f"{name}_") for name in modules_for(test))


def unmirrored_tests() -> set[str]:
    tests = (t for t in UNIT.rglob("test_*.py") if t.relative_to(UNIT).parts[0] not in OF_THE_REPOSITORY)
    return {test.relative_to(UNIT).as_posix() for test in tests if not has_a_module(test)}


def test_every_unit_test_is_where_its_module_is():
    assert unmirrored_tests() == set()


def test_the_architecture_page_lists_every_folder_in_the_order_of_the_layers():
    listed = re.findall(r"^(\w+)/  ", ARCHITECTURE, re.MULTILINE)
    assert sorted(listed) == sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition('name = "One direction"')[2]
    layers = [re.findall(r"\w+", layer) for layer in re.findall(r'^  "([\w |]+)",$', contract, re.MULTILINE)]
    rank = {name: level for level, names in enumerate(layers) for name in names}
    assert [rank[name] for name in listed] == sorted(rank[name] for name in listed)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w./-]+\.(?:py|md|json))`", ARCHITECTURE))))
def test_the_architecture_page_names_files_that_exist(name):
    assert (PACKAGE / name).exists() or (ROOT / name).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(?:\w+\.)?([A-Za-z_]{5,})`", ARCHITECTURE))))
def test_the_architecture_page_names_functions_and_classes_that_exist(name):
    assert re.search(rf"\b{name}\b", source_of_the_operator())


PAGES = sorted(p.relative_to(ROOT).as_posix() for pattern in PAGE_PATTERNS for p in ROOT.glob(pattern))
REPOSITORY_FILE = re.compile(r"`((?:operator|probe|deploy|docs|examples|hack|tests)/[\w./-]+\.[a-z]+)[`:]")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_files_of_the_repository_that_exist(page):
    named = REPOSITORY_FILE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [name for name in named if "NNNN" not in name and not (ROOT / name).exists()] == []
