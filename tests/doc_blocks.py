"""Blocks of code in the Markdown pages, for the tests of examples."""

from __future__ import annotations

import re
from functools import cache

from tests.texts import PAGES, ROOT

BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
SHORTENED = ("…", "...")
"""Marks of an example that is not complete."""


@cache
def pages() -> tuple[str, ...]:
    return tuple(sorted({p.relative_to(ROOT).as_posix() for pattern in PAGES for p in ROOT.glob(pattern)}))


def blocks(*languages: str) -> list[tuple[str, str]]:
    """Return page and text of each block in one of the languages."""
    return [
        (page, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for page in pages()
        for indent, language, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
        if language in languages
    ]


def is_shortened(text: str) -> bool:
    return any(mark in text for mark in SHORTENED)
