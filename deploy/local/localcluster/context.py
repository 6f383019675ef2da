"""Hash of a build context, over the files that a .dockerignore does not exclude.

An ambiguous pattern excludes less rather than more: a needless build is better than a missed change.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcluster.cache import hash_file, hash_parts

IGNORE_FILES = (".containerignore", ".dockerignore")
# These change without a change of the program.
_NEVER = frozenset({".git", "__pycache__"})


@dataclass(frozen=True)
class IgnorePattern:
    expression: re.Pattern[str]
    excludes: bool


def digest(context: Path) -> str:
    return hash_parts(_describe(context, path) for path in files(context, patterns(context)))


def patterns(context: Path) -> list[IgnorePattern]:
    for name in IGNORE_FILES:
        path = context / name
        if path.exists():
            return parse(path.read_text())
    return []


def parse(text: str) -> list[IgnorePattern]:
    lines = (line.strip() for line in text.splitlines())
    return [_pattern(line) for line in lines if line and not line.startswith("#")]


def files(context: Path, ignored: list[IgnorePattern]) -> list[Path]:
    return sorted(_walk(context, context, ignored))


def is_ignored(path: str, ignored: list[IgnorePattern]) -> bool:
    """Return whether a path is ignored: the last pattern that matches decides."""
    for pattern in reversed(ignored):
        if pattern.expression.match(path):
            return pattern.excludes
    return False


def _walk(context: Path, folder: Path, ignored: list[IgnorePattern]) -> Iterator[Path]:
    has_exceptions = any(not pattern.excludes for pattern in ignored)
    for entry in os.scandir(folder):
        path = Path(entry.path)
        hidden = is_ignored(str(path.relative_to(context)), ignored)
        if entry.name in _NEVER:
            continue
        if entry.is_dir(follow_symlinks=False):
            if not hidden or has_exceptions:
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


def _pattern(line: str) -> IgnorePattern:
    excludes = not line.startswith("!")
    text = line.removeprefix("!").strip().strip("/").removeprefix("./")
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    translation = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    expression = "".join(translation.get(piece, re.escape(piece)) for piece in pieces)
    # A match of a folder includes everything below it.
    return IgnorePattern(re.compile(rf"{expression}(?:/.*)?\Z"), excludes)
