"""Text and numbers that a pod wrote, made harmless: for a terminal, an event, a page and the API server."""

from __future__ import annotations

import math
import re
import unicodedata

from memroll.api.evidence import NUMBER_MAX

READ_CHARS_MAX = 2048
"""Of one line: what stands behind that is not looked at."""
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]|\x9b[0-?]*[ -/]*[@-~]")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control, format (bidi, zero width), surrogate, private, unassigned; and what ends lines."""
_ODD = re.compile(r"[^\w ./@+~:=,'()-]")


def cleaned(text: str) -> str:
    """Return one line without what a terminal obeys or an eye does not see; a tab is a blank."""
    text = _ANSI.sub("", text[:READ_CHARS_MAX].replace("\t", " "))
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if unicodedata.category(c) not in _UNSEEN)


def named(text: str, chars_most: int) -> str:
    """Return the name of a file, a type or what refers to it: nothing in it is markup, and nothing a link."""
    safe = _ODD.sub("_", cleaned(text))
    return re.sub("//+", "/", safe).strip()[:chars_most]


def counted(value: object) -> int | None:
    """Return a number of something; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = round(value)
    return value if 0 <= value <= NUMBER_MAX else None
