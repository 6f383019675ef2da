"""Sanitize text and numbers that a pod wrote, for terminals, Events, HTML pages and the API server. Pure."""

from __future__ import annotations

import math
import re
import unicodedata

from memroll.api.evidence import MAX_NUMBER

MAX_PARSED_CHARS = 2048
"""Maximum number of characters of a line that are parsed, chosen by hand. The rest of the line is ignored."""
_ANSI = re.compile(r"\x1b\[[0-?]*+[ -/]*+[@-~]|\x1b\][^\x07\x1b]*+(?:\x07|\x1b\\)?|\x1b[@-_]|\x9b[0-?]*+[ -/]*+[@-~]")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories to remove: control, format (bidi, zero width), surrogate, private, unassigned, line ends."""
_UNSAFE = re.compile(r"[^\w ./@+~:=,'()-]")


def sanitize_line(text: str, *, invisible: str = "") -> str:
    """Return one line without terminal escapes and invisible characters; a tab becomes a blank.

    `invisible` replaces each invisible character.
    """
    text = _ANSI.sub("", text[:MAX_PARSED_CHARS].replace("\t", " "))
    if text.isascii() and text.isprintable():
        return text
    return "".join(invisible if unicodedata.category(c) in _INVISIBLE_CATEGORIES else c for c in text)


def sanitize_name(text: str, max_chars: int) -> str:
    """Return the name of a file, a type or a referrer, without markup and links."""
    safe = _UNSAFE.sub("_", sanitize_line(text))
    return re.sub("//+", "/", safe).strip()[:max_chars]


def parse_count(value: object) -> int | None:
    """Return a count; None for a value that is not a number from 0 to MAX_NUMBER."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = round(value)
    return value if 0 <= value <= MAX_NUMBER else None
