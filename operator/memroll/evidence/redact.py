"""Redact secrets in log lines, by pattern.

Lines that a pod wrote go in, lines without secrets come out. `evidence.sections` and `evidence.probe_report` call it.
Pure. The patterns rather match too much than too little: PodRolls have more readers than logs. A secret in plain words
("my dog's name is Rex") matches none of them and is not redacted.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from memroll.api.evidence import MAX_LINE_CHARS
from memroll.evidence import secret_patterns as patterns
from memroll.evidence.sanitize import sanitize_line
from memroll.evidence.secret_patterns import MIN_RANDOM_CHARS

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

REDACTED = "[redacted]"
MIN_RANDOM_RATIO = 0.3
"""Minimum ratio of class changes to neighbouring characters in a random run, chosen by hand.

Words have fewer changes between lower case, upper case and digits, also when they are GluedTogether.
"""
MIN_LONG_CHARS = 40
"""Minimum length of a part, between slashes and the like, that is too long for a name; chosen by hand."""
MIN_LONG_RATIO = 0.15
"""Minimum ratio of class changes in such a part. Random lower-case letters and digits have 0.4 on average."""
MIN_WORD_CHARS = 4
"""Minimum mean length of the words of a name, chosen by hand.

5 in 100 random runs of 20 letters are taken for a name, and 3 in 1,000 of those with digits.
"""


def redact_lines(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield each line sanitized, redacted and truncated, and whether anything was redacted in it."""
    raw = list(lines)
    sanitized = [sanitize_line(line) for line in raw]
    for before, line, kept in zip(raw, sanitized, redact_key_blocks(sanitized), strict=True):
        redacted = redact_secrets(kept)
        if _is_hidden(sanitize_line(before, invisible=" "), line, redacted):
            redacted = REDACTED
        yield redacted[:MAX_LINE_CHARS], redacted != line


def _is_hidden(spaced: str, joined: str, redacted: str) -> bool:
    """Return whether invisible characters hide a secret of the line: they may divide a word, or two words."""
    if spaced == joined:
        return False
    apart = redact_secrets(spaced)
    return REDACTED in apart and apart.replace(" ", "") != redacted.replace(" ", "")


def redact_key_blocks(lines: list[str]) -> list[str]:
    """Redact private keys, which span many lines; also one whose beginning is missing."""

    def redact_block(match: re.Match[str]) -> str:
        return REDACTED + "\n" * match[0].count("\n")

    kept = patterns.KEY_BLOCK.sub(redact_block, "\n".join(lines)).split("\n") if lines else []
    for end in (n for n, line in enumerate(kept) if patterns.KEY_END.search(line)):
        first = end
        while first and patterns.KEY_LINE.fullmatch(kept[first - 1]):
            first -= 1
        kept[first : end + 1] = [REDACTED] * (end + 1 - first)
    return kept


def redact_secrets(line: str) -> str:
    """Redact everything in a line that matches the pattern of a secret."""
    line = patterns.HEADER.sub(_redact_value, patterns.URL_REST.sub(_redact_credentials, line))
    line = _redact_commands(line)
    for with_value in _WITH_VALUE:
        line = with_value.sub(_redact_value, line)
    line = patterns.JWT.sub(_redact_jwt, line)
    for pattern in patterns.KNOWN_FORMATS:
        line = pattern.sub(REDACTED, line)
    return patterns.RUN.sub(_redact_random, line)


_WITH_VALUE = (
    patterns.NAMED_SECRET,
    patterns.TOKEN,
    patterns.OPTION,
    patterns.ELEMENT,
    patterns.IN_PLAIN_WORDS,
    patterns.SHARED_SIGNATURE,
)


def _redact_commands(line: str) -> str:
    """Redact passwords that follow a short option, after the first command that has such an option."""
    for command, option in zip(patterns.COMMANDS, patterns.COMMAND_OPTIONS, strict=True):
        found = command.search(line)
        if found:
            line = line[: found.end()] + option.sub(_redact_value, line[found.end() :])
    return line


def _redact_value(match: re.Match[str]) -> str:
    """Redact a value, but keep a number of tokens, or of passes."""
    has_count = "count" in match.re.groupindex and bool(match["count"])
    is_kept = has_count and (match.re is patterns.TOKEN or "token" in match["name"].lower())
    return match[0] if is_kept else f"{match['name']}{REDACTED}"


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
    if run.isalpha() and len(run) >= MIN_WORD_CHARS * len(patterns.WORD.findall(run)):
        return False  # InMemoryStateService: words, if short ones
    parts = (part for part in patterns.SEPARATORS.split(run) if len(part) >= MIN_LONG_CHARS)
    return _change_ratio(run) >= MIN_RANDOM_RATIO or any(_change_ratio(part) >= MIN_LONG_RATIO for part in parts)


def _change_ratio(run: str) -> float:
    """Return the ratio of neighbours, both letters or digits, that differ in case or kind."""
    classes = ["a" if c.islower() else "A" if c.isupper() else "1" if c.isdigit() else "" for c in run]
    changes = [a != b for a, b in pairwise(classes) if a and b]
    return sum(changes) / max(len(changes), MIN_RANDOM_CHARS // 2)
