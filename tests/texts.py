"""Texts of the repository for people: docstrings, comments, messages, test names, Markdown pages and the chart.

`tests.language` counts what breaks the rules of CONTRIBUTING.md in them.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PYTHON_FOLDERS = ("operator", "probe", "deploy/local", "deploy/release", "examples", "tests")
PAGES = ("*.md", *(f"{folder}/**/*.md" for folder in ("docs", "deploy", "examples", "probe")))
CHART = "deploy/helm/memroll"
HASH_COMMENT_FILES = (
    "Makefile",
    "pyproject.toml",
    "probe/pyproject.toml",
    ".ci/*",
    ".github/workflows/*",
    "hack/*",
    "deploy/image/*",
)
OWN_FILES = ("tests/language.py", "tests/unit/project/test_language.py")
"""Files that have to name the private words."""


class Kind(Enum):
    """Kind of a text."""

    DOCSTRING = "docstring"
    COMMENT = "comment"
    MESSAGE = "message"
    TEST_NAME = "test name"
    PROSE = "prose"


@dataclass(frozen=True, slots=True)
class Text:
    """Text for people, with its place."""

    path: str
    line: int
    kind: Kind
    text: str

    @property
    def prose(self) -> str:
        """The text without code and addresses."""
        return re.sub(r"`[^`]*`|https?://\S+|\]\([^)]*\)", " ", self.text)


def module(path: str) -> ast.Module:
    """Return the syntax tree of a file. Not cached: that many nodes would slow down the garbage collector."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def nodes(path: str) -> list[ast.AST]:
    """Return all nodes of a module."""
    return list(ast.walk(module(path)))


@cache
def python_files(folder: str) -> tuple[str, ...]:
    return tuple(sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*.py")))


@cache
def all_texts() -> tuple[Text, ...]:
    """Return the texts of the whole repository."""
    texts = [t for folder in PYTHON_FOLDERS for path in python_files(folder) for t in _python_texts(path)]
    for page in sorted(p for pattern in PAGES for p in ROOT.glob(pattern)):
        texts += _markdown_texts(page.relative_to(ROOT).as_posix())
    chart = [p for p in (ROOT / CHART).rglob("*") if p.suffix in {".yaml", ".tpl", ".txt", ".json"}]
    for file in sorted(p for p in chart if "crds" not in p.parts):  # the CRDs contain docstrings of the operator
        texts += _lines(file.relative_to(ROOT).as_posix())
    for file in sorted(p for pattern in HASH_COMMENT_FILES for p in ROOT.glob(pattern) if p.is_file()):
        texts += [t for t in _lines(file.relative_to(ROOT).as_posix(), after="#") if t.text]
    return tuple(t for t in texts if t.path not in OWN_FILES)


def _lines(path: str, after: str = "") -> list[Text]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    kind = Kind.COMMENT if after else Kind.PROSE
    return [Text(path, n, kind, text.partition(after)[2] if after else text) for n, text in enumerate(lines, 1)]


def _markdown_texts(path: str) -> Iterator[Text]:
    """Yield the paragraphs of a page, without its code blocks: a phrase may continue on the next line."""
    paragraph, first, fenced = [], 1, False
    for text in [*_lines(path), Text(path, 0, Kind.PROSE, "")]:
        fence = text.text.lstrip().startswith("```")
        if fenced or fence or not text.text.strip():
            if paragraph:
                yield Text(path, first, Kind.PROSE, " ".join(paragraph))
            paragraph = []
        else:
            first = first if paragraph else text.line
            paragraph.append(text.text.strip())
        fenced = fenced != fence


def _python_texts(path: str) -> Iterator[Text]:
    tree = nodes(path)
    docstrings = {id(literal): literal for node in tree for literal in _documentation(node)}
    for node in docstrings.values():
        yield Text(path, node.lineno, Kind.DOCSTRING, " ".join(str(node.value).split()))
    literals = []
    for node in tree:
        if isinstance(node, ast.JoinedStr | ast.Constant):
            literals.append(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            if not path.startswith("tests/") and " " in node.value.strip():
                yield Text(path, node.lineno, Kind.MESSAGE, node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Text(path, node.lineno, Kind.TEST_NAME, node.name.replace("_", " "))
    yield from _comments(path, literals)


def _documentation(node: ast.AST) -> Iterator[ast.Constant]:
    """Yield the string literals that document a module, class, function, attribute or constant."""
    body = getattr(node, "body", None)
    for statement in body if isinstance(body, list) else []:
        value = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value


def _comments(path: str, literals: list[ast.JoinedStr | ast.Constant]) -> Iterator[Text]:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if "#" not in line:
            continue
        spans = [
            ((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0))
            for n in literals
            if n.lineno <= number <= (n.end_lineno or 0)
        ]
        for sign in re.finditer("#", line):
            at = (number, len(line[: sign.start()].encode()))
            if not any(start <= at < end for start, end in spans):
                yield Text(path, number, Kind.COMMENT, line[sign.end() :])
                break
