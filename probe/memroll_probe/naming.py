"""Names for people: files below their import root, types without running their code. Bounded and printable."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath

LONGEST = 200
PARTS_OF_A_STRANGER = 3

_QUALNAME = type.__dict__["__qualname__"]
_MODULE = type.__dict__["__module__"]


def clean(text: str) -> str:
    """Return text that fits on a line: what came from the service may hold anything."""
    text = "".join(c if c.isprintable() else "?" for c in text[: LONGEST + 1])
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def type_name(kind: type) -> str:
    """Name a type past its metaclass, which may have properties of its own for both."""
    module, name = _MODULE.__get__(kind), _QUALNAME.__get__(kind)
    return clean(name if module == "builtins" or type(module) is not str else f"{module}.{name}")


def is_builtin(name: str) -> bool:
    return "." not in name


class Files:
    """Shortens file names to what an import of them would be looked up by."""

    def __init__(self) -> None:
        roots = {os.path.realpath(p) + os.sep for p in sys.path} | {p.rstrip(os.sep) + os.sep for p in sys.path if p}
        self._roots = sorted(roots - {os.sep}, key=len, reverse=True)

    def short(self, file: str) -> str:
        for root in self._roots:
            if file.startswith(root):
                return clean(file[len(root) :])
        return clean(file if file.startswith("<") else str(PurePath(*PurePath(file).parts[-PARTS_OF_A_STRANGER:])))
