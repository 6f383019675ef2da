"""Redact secrets in log lines, by pattern.

Lines that a pod wrote go in, lines without secrets come out. `evidence.sections` and `evidence.probe_report` call it.
Pure. The patterns rather match too much than too little: PodRolls have more readers than logs. A secret in plain words
("my dog's name is Rex") matches none of them and is not redacted.

The time of each pattern is linear in the length of its text. A pattern whose match can fail after a run of characters
takes the run possessively, and where the next start lies inside of the run, it matches the run and keeps it.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from memroll.api.evidence import MAX_LINE_CHARS
from memroll.evidence.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REDACTED = "[redacted]"
MIN_RANDOM_RATIO = 0.3
"""Minimum ratio of class changes to neighbouring characters in a random run, chosen by hand.

Words have fewer changes between lower case, upper case and digits, also when they are GluedTogether.
"""
MIN_RANDOM_CHARS = 20
"""Minimum length of a run that can be random, chosen by hand."""
MIN_WORD_CHARS = 4
"""Minimum mean length of the words of a name, chosen by hand.

5 in 100 random runs of 20 letters are taken for a name, and 3 in 1,000 of those with digits.
"""
MIN_HEX_CHARS = 32
"""Minimum length of a hexadecimal run that is redacted: 128 bits."""

_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)", re.DOTALL)
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_KEY_LINE = re.compile(r"(?:.*\s)?+[A-Za-z0-9+/=]{1,80}+")
_NAME = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|jwt|(?:api|access|private|signing|encryption|account)[_. -]?key"
    r"|credential|session[_. -]?(?:id|key)|signature|dsn|conn(?:ection)?[_. -]?str"
)
_QUOTED = r"""\\++(?P<quote>["']).*?(?:\\(?P=quote)|$)|"(?:[^"\\]|\\.)*+(?:"|$)|'(?:[^'\\]|\\.)*+(?:'|$)"""
_ASSIGNMENT = r"""[\w.-]{0,32}+\\*+["']?\]?\s{0,4}(?:=>|:=|[:=])\s{0,4}"""
_VALUE = rf"{_QUOTED}|.+?(?=\s[\w.-]{{1,64}}+=|$)"
"""Value up to its closing quote, else up to the next `name=` or the end of the line."""
_NAMED_SECRET = re.compile(rf"(?P<name>(?:{_NAME}){_ASSIGNMENT})(?P<value>{_VALUE})", re.IGNORECASE)
_COUNT = r"\d{1,9}(?:\.\d{1,3})?(?=[,;)}\]]{0,4}(?:\s|$))"
_TOKEN = re.compile(rf"(?P<name>token{_ASSIGNMENT})(?P<value>(?P<count>{_COUNT})|{_VALUE})", re.IGNORECASE)
"""Token, but not a number of tokens as language models count them: `max_tokens=512`."""
_HEADER = re.compile(rf"(?P<name>(?:authorization|cookie){_ASSIGNMENT})(?P<value>{_QUOTED}|.+)", re.IGNORECASE)
_URL_REST = re.compile(r"""(?<=://)[^\s"'<>]++""")
_JWT = re.compile(r"eyJ[\w-]{4,}+(?P<rest>(?:\.[\w-]*+){0,4}+)")
_PATTERNS = (
    re.compile(r"\b(?:bearer|basic|negotiate)\s++[^\s,;\"']{4,}+", re.IGNORECASE),
    re.compile(
        r"\b(?:[spr]k[-_]|AKIA|ASIA|ABIA|ACCA|gh[opsur]_|github_pat_|xox[a-z]-|gl(?:pat|dt|rt)-|AIza|ya29\.|hf_|npm_|pypi-"
        r"|SG\.|lsv2_|gsk_|r8_|whsec_|dop_v1_)[\w.-]{8,}+"
    ),
    re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)++"),
    re.compile(rf"(?<![0-9A-Za-z])[0-9a-fA-F]{{{MIN_HEX_CHARS},}}+(?![0-9A-Za-z])"),
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_RUN = re.compile(rf"[A-Za-z0-9+/_=-]{{{MIN_RANDOM_CHARS},}}+")


def redact_lines(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield each line sanitized, redacted and truncated, and whether anything was redacted in it."""
    sanitized = [sanitize_line(line) for line in lines]
    for line, kept in zip(sanitized, redact_key_blocks(sanitized), strict=True):
        redacted = redact_secrets(kept)
        yield redacted[:MAX_LINE_CHARS], redacted != line


def redact_key_blocks(lines: list[str]) -> list[str]:
    """Redact private keys, which span many lines; also one whose beginning is missing."""

    def redact_block(match: re.Match[str]) -> str:
        return REDACTED + "\n" * match[0].count("\n")

    kept = _KEY_BLOCK.sub(redact_block, "\n".join(lines)).split("\n") if lines else []
    for end in (n for n, line in enumerate(kept) if _KEY_END.search(line)):
        first = end
        while first and _KEY_LINE.fullmatch(kept[first - 1]):
            first -= 1
        kept[first : end + 1] = [REDACTED] * (end + 1 - first)
    return kept


def redact_secrets(line: str) -> str:
    """Redact everything in a line that matches the pattern of a secret."""
    line = _HEADER.sub(_redact_value, _URL_REST.sub(_redact_credentials, line))
    line = _TOKEN.sub(_redact_token, _NAMED_SECRET.sub(_redact_value, line))
    line = _JWT.sub(_redact_jwt, line)
    for pattern in _PATTERNS:
        line = pattern.sub(REDACTED, line)
    return _RUN.sub(_redact_random, line)


def _redact_value(match: re.Match[str]) -> str:
    return f"{match['name']}{REDACTED}"


def _redact_token(match: re.Match[str]) -> str:
    return match[0] if match["count"] else _redact_value(match)


def _redact_credentials(match: re.Match[str]) -> str:
    """Redact the rest of a URL up to its last `@`."""
    at = match[0].rfind("@")
    return match[0] if at < 0 else REDACTED + match[0][at:]


def _redact_jwt(match: re.Match[str]) -> str:
    """Redact a JSON Web Token; a run of the same characters without a dot is none."""
    return REDACTED if match["rest"] else match[0]


def _redact_random(match: re.Match[str]) -> str:
    return REDACTED if is_random(match[0]) else match[0]


def is_random(run: str) -> bool:
    """Return whether a run is a key, not a path or a name: keys often alternate between letters and digits."""
    if run == run.lower() and max(map(len, run.split("-"))) < MIN_RANDOM_CHARS:
        return False  # the name of a pod, a UUID
    if run.isalpha() and len(run) >= MIN_WORD_CHARS * len(_WORD.findall(run)):
        return False  # InMemoryStateService: words, if short ones
    classes = ["a" if c.islower() else "A" if c.isupper() else "1" if c.isdigit() else "" for c in run]
    changes = [a != b for a, b in pairwise(classes) if a and b]
    return sum(changes) >= MIN_RANDOM_RATIO * max(len(changes), MIN_RANDOM_CHARS // 2)
