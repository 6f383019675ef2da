"""Links to a heading of a page have the name that the heading gets on GitHub."""

from __future__ import annotations

import re

import pytest

from tests.doc_blocks import BLOCK, pages
from tests.texts import ROOT

LINK = re.compile(r"\]\(([^)\s]*)#([^)\s]+)\)")


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings; a repeated one has a number."""
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\]\([^)]*\)", "]", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        number = next(n for n in range(100) if f"{name}-{n}".removesuffix("-0") not in found)
        found.add(f"{name}-{number}".removesuffix("-0"))
    return found


@pytest.mark.parametrize("page", pages())
def test_a_link_to_a_heading_has_one(page):
    folder = (ROOT / page).parent
    wrong = []
    for target, anchor in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
        if "://" not in target:
            file = (folder / target).resolve() if target else ROOT / page
            if file.suffix == ".md" and anchor not in anchors(file.relative_to(ROOT).as_posix()):
                wrong.append(f"{target}#{anchor}")
    assert wrong == []


def test_anchors_are_those_of_github(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.unit.project.test_anchors.ROOT", tmp_path)
    text = "# A `code`: it's 1.5 %, so\n\n```sh\n# comment\n```\n\n## Twice\n\n## Twice\n\n## [Linked](x.md) text\n"
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    assert anchors("page.md") == {"a-code-its-15--so", "twice", "twice-1", "linked-text"}
