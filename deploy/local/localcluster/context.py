"""The content of a build context as one hash, over the files that a .dockerignore lets through.

Where the patterns' meaning is in doubt more is hashed rather than less: that builds once too often, never too seldom.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcluster.cache import hash_file, hash_parts

IGNORE_FILES = (".containerignore", ".dockerignore")
# They change without any change of the program.
_NEVER = frozenset({".git", "__pycache__"})


@dataclass(frozen=True)
class Pattern:
    expression: re.Pattern[str]
    excludes: bool


def digest(context: Path) -> str:
    return hash_parts(_describe(context, path) for path in files(context, patterns(context)))


def patterns(context: Path) -> list[Pattern]:
    for name in IGNORE_FILES:
        path = context / name
        if path.exists():
            return parse(path.read_text())
    return []


def parse(text: str) -> list[Pattern]:
    lines = (line.strip() for line in text.splitlines())
    return [_pattern(line) for line in lines if line and not line.startswith("#")]


def files(context: Path, ignored: list[Pattern]) -> list[Path]:
    return sorted(_walk(context, context, ignored))


def is_ignored(path: str, ignored: list[Pattern]) -> bool:
    """Ask the patterns from the last one back: the first that matches decides."""
    for pattern in reversed(ignored):
        if pattern.expression.match(path):
            return pattern.excludes
    return False


def _walk(context: Path, folder: Path, ignored: list[Pattern]) -> Iterator[Path]:
    brings_back = any(not pattern.excludes for pattern in ignored)
    for entry in os.scandir(folder):
        path = Path(entry.path)
        hidden = is_ignored(str(path.relative_to(context)), ignored)
        if entry.name in _NEVER:
            continue
        if entry.is_dir(follow_symlinks=False):
            if not hidden or brings_back:
                yield from _walk(context, path, ignored)
        elif not hidden:
            yield path


def _describe(context: Path, path: Path) -> str:
    relative = path.relative_to(context)
    if path.is_symlink():
        return f"{relative} -> {path.readlink()}"
    if not path.is_file():
        return f"{relative} is no file"
    return f"{relative} {path.stat().st_mode:o} {hash_file(path)}"


def _pattern(line: str) -> Pattern:
    excludes = not line.startswith("!")
    text = line.removeprefix("!").strip().strip("/").removeprefix("./")
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    meaning = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    expression = "".join(meaning.get(piece, re.escape(piece)) for piece in pieces)
    # A folder that matches takes everything below it along.
    return Pattern(re.compile(rf"{expression}(?:/.*)?\Z"), excludes)
