"""Printable names of bounded length, for files and types. Called by the report, the gauges and the referrer search.

Files are named relative to their import root. Types are named without running their code.
"""

from __future__ import annotations

import os
import sys
from pathlib import PurePath

MAX_CHARS = 200
"""Maximum length of a name in characters, as in the report's schema."""
MAX_UNKNOWN_PATH_PARTS = 3
"""Maximum number of path components kept of a file below no import root. Chosen by hand."""

_QUALNAME = type.__dict__["__qualname__"]
_MODULE = type.__dict__["__module__"]


def sanitize(text: str) -> str:
    """Return one printable line of at most MAX_CHARS characters: names from the service may hold anything."""
    text = "".join(c if c.isprintable() else "?" for c in text[: MAX_CHARS + 1])
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def type_name(kind: type) -> str:
    """Return a type's name. Bypasses the metaclass, which may define properties of its own for module and name."""
    module, name = _MODULE.__get__(kind), _QUALNAME.__get__(kind)
    return sanitize(name if module == "builtins" or type(module) is not str else f"{module}.{name}")


def is_builtin(name: str) -> bool:
    return "." not in name


class FileNames:
    """Shortens file names to the path that an import looks up."""

    def __init__(self) -> None:
        roots = {os.path.realpath(p) + os.sep for p in sys.path} | {p.rstrip(os.sep) + os.sep for p in sys.path if p}
        self._roots = sorted(roots - {os.sep}, key=len, reverse=True)

    def shorten(self, file: str) -> str:
        for root in self._roots:
            if file.startswith(root):
                return sanitize(file[len(root) :])
        return sanitize(
            file if file.startswith("<") else str(PurePath(*PurePath(file).parts[-MAX_UNKNOWN_PATH_PARTS:]))
        )
