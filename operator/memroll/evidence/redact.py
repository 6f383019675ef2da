"""Log lines without secrets. By pattern, and too much rather than too little: PodRolls have more readers than logs.

What no pattern knows goes through: a secret in plain words ("my dog's name is Rex").
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from memroll.api.evidence import LINE_CHARS_MAX
from memroll.evidence.sanitize import cleaned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GONE = "[redacted]"
RANDOM_SHARE = 0.3
"""A run is random when its characters change their kind so often: words, also GluedTogether, do it less."""
RANDOM_CHARS = 20
WORD_CHARS = 4
"""So long are the words of a name. Of random runs of 20 letters 5 in 100 are taken for one, with digits 3 in 1,000."""
HEX_CHARS = 32

_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)", re.DOTALL)
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_KEY_LINE = re.compile(r"(?:.*\s)?[A-Za-z0-9+/=]{1,80}")
_NAME = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|jwt|(?:api|access|private|signing|encryption|account)[_. -]?key"
    r"|credential|session[_. -]?(?:id|key)|signature|dsn|conn(?:ection)?[_. -]?str"
)
_QUOTED = r"""\\+(?P<quote>["']).*?(?:\\+(?P=quote)|$)|"(?:[^"\\]|\\.)*+(?:"|$)|'(?:[^'\\]|\\.)*+(?:'|$)"""
_IS = r"""[\w.-]{0,32}+\\*["']?\]?\s{0,4}(?:=>|:=|[:=])\s{0,4}"""
_TO_ITS_END = rf"{_QUOTED}|.+?(?=\s[\w.-]{{1,64}}+=|$)"
"""To the closing quote, else to the next `name=` or the end of the line."""
_NAMED = re.compile(rf"(?P<name>(?:{_NAME}){_IS})(?P<value>{_TO_ITS_END})", re.IGNORECASE)
_COUNT = r"\d{1,9}(?:\.\d{1,3})?(?=[,;)}\]]{0,4}(?:\s|$))"
_TOKENS = re.compile(rf"(?P<name>token{_IS})(?P<value>(?P<count>{_COUNT})|{_TO_ITS_END})", re.IGNORECASE)
"""Also what a model reads and writes is counted in tokens: `max_tokens=512`."""
_HEADER = re.compile(rf"(?P<name>(?:authorization|cookie){_IS})(?P<value>{_QUOTED}|.+)", re.IGNORECASE)
_IN_URL = re.compile(r"""(?<=://)[^\s"'<>]*@""")
_PATTERNS = (
    re.compile(r"\b(?:bearer|basic|negotiate)\s+[^\s,;\"']{4,}", re.IGNORECASE),
    re.compile(r"eyJ[\w-]{4,}+(?:\.[\w-]*+){1,4}"),
    re.compile(
        r"\b(?:[spr]k[-_]|AKIA|ASIA|ABIA|ACCA|gh[opsur]_|github_pat_|xox[a-z]-|gl(?:pat|dt|rt)-|AIza|ya29\.|hf_|npm_|pypi-"
        r"|SG\.|lsv2_|gsk_|r8_|whsec_|dop_v1_)[\w.-]{8,}+"
    ),
    re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+"),
    re.compile(rf"(?<![0-9A-Za-z])[0-9a-fA-F]{{{HEX_CHARS},}}+(?![0-9A-Za-z])"),
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_RUN = re.compile(rf"[A-Za-z0-9+/_=-]{{{RANDOM_CHARS},}}+")


def redacted(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield each line cleaned, without secrets and cut, and whether something was taken out of it."""
    clean = [cleaned(line) for line in lines]
    for line, kept in zip(clean, without_key_blocks(clean), strict=True):
        without = without_secrets(kept)
        yield without[:LINE_CHARS_MAX], without != line


def without_key_blocks(lines: list[str]) -> list[str]:
    """Take out private keys, which go over many lines; also one whose beginning is cut off."""

    def blank(found: re.Match[str]) -> str:
        return GONE + "\n" * found[0].count("\n")

    left = _KEY_BLOCK.sub(blank, "\n".join(lines)).split("\n") if lines else []
    for end in (n for n, line in enumerate(left) if _KEY_END.search(line)):
        first = end
        while first and _KEY_LINE.fullmatch(left[first - 1]):
            first -= 1
        left[first : end + 1] = [GONE] * (end + 1 - first)
    return left


def without_secrets(line: str) -> str:
    """Take what looks like a secret out of one line."""
    line = _HEADER.sub(_value_gone, _IN_URL.sub(f"{GONE}@", line))
    line = _TOKENS.sub(_token_gone, _NAMED.sub(_value_gone, line))
    for pattern in _PATTERNS:
        line = pattern.sub(GONE, line)
    return _RUN.sub(_random_gone, line)


def _value_gone(found: re.Match[str]) -> str:
    return f"{found['name']}{GONE}"


def _token_gone(found: re.Match[str]) -> str:
    return found[0] if found["count"] else _value_gone(found)


def _random_gone(found: re.Match[str]) -> str:
    return GONE if is_random(found[0]) else found[0]


def is_random(run: str) -> bool:
    """Tell a key from a path or a name: its characters change between small, large and digit all the time."""
    if run == run.lower() and max(map(len, run.split("-"))) < RANDOM_CHARS:
        return False  # the name of a pod, a UUID
    if run.isalpha() and len(run) >= WORD_CHARS * len(_WORD.findall(run)):
        return False  # InMemoryStateService: words, if short ones
    kinds = ["a" if c.islower() else "A" if c.isupper() else "1" if c.isdigit() else "" for c in run]
    pairs = [a != b for a, b in pairwise(kinds) if a and b]
    return sum(pairs) >= RANDOM_SHARE * max(len(pairs), RANDOM_CHARS // 2)
