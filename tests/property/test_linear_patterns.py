"""No pattern that text of a pod is matched against takes more than linear time, whatever run of characters it meets.

The texts are generated for every pattern: a beginning that starts a match, a run of each special character or pair of
them, and an end that lets the match fail. A limit in seconds would depend on the machine; the ratio of the times of a
text and of one twice as long does not.
"""

from __future__ import annotations

import re
import time
from itertools import product
from typing import TYPE_CHECKING

import pytest

from memroll.evidence import redact, sanitize, secret_patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHARS = 3000
"""Length of the texts of which a pattern must be suspiciously slow to be measured more closely."""
SLOW_S = 0.0015
"""Time for such a text: linear patterns take at most a third of it, quadratic ones several times as long."""
MAX_RATIO = 3.0
"""Maximum ratio of the times at twice the length: about 2 if the time is linear, 4 if it is quadratic."""
TRIES = 5
BEGINNINGS = (
    "", "token=", 'token="', "token=\\'", "password: '", "authorization: ", "pwd", "://", "-----BEGIN PRIVATE KEY",
    "-----BEGIN ", "--password ", "<password>", "password is ", "?sig=", "mysql -p", "curl -u ",
    "-----END PRIVATE KEY-----", "eyJaaaa", "bearer ", "sk-", "a@", "a@b", "\x1b[", "\x1b]", "\x9b",
)  # fmt: skip
SPECIAL = "\\\"'=: \t.-_/@+aA0[]<>(){},;\x1b\x9b\n~é"
PAIRS = tuple(a + b for a, b in product("\\\"'= .@-a", repeat=2) if a != b)
WORDS = (
    "token=", "token", "password", "pass", " -p", " --token", "<token>", "<a ", "mysql ",
    "password for ", "eyJaaaa", "eyJaaaa.", "a@b.", "://", "bearer ", "-----BEGIN PRIVATE KEY",
    "-----END PRIVATE KEY-----", "sk-", "\x1b[", "\x1b]", "\x1b[0", 'token=\\"', "x.a@", "Aa", "-----BEGIN ",
)  # fmt: skip
RUNS = (*SPECIAL, *PAIRS, *WORDS)


def patterns() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yield every compiled pattern of the modules as they use it, and the functions that combine them."""
    for module in (secret_patterns, sanitize):
        for name, value in vars(module).items():
            for n, pattern in enumerate(value if isinstance(value, tuple) else (value,)):
                if isinstance(pattern, re.Pattern):
                    whole_line = name == "KEY_LINE"
                    yield f"{name}{n or ''}", pattern.fullmatch if whole_line else pattern.findall
    yield "redact_secrets", redact.redact_secrets
    yield "redact_key_blocks", lambda text: redact.redact_key_blocks(text.split("\n"))


PATTERNS = dict(patterns())


def text_of(beginning: str, run: str, chars: int) -> str:
    return beginning + run * (chars // len(run)) + "\x00!"


def duration_s(match: Callable[[str], object], text: str, tries: int) -> float:
    durations_s = []
    for _ in range(tries):
        begun_s = time.thread_time()
        match(text)
        durations_s.append(time.thread_time() - begun_s)
    return min(durations_s)


def ratio_of(match: Callable[[str], object], beginning: str, run: str) -> float:
    """Return the ratio of the times at twice the length; of several measurements the best, because noise adds time."""
    return min(
        duration_s(match, text_of(beginning, run, 4 * CHARS), TRIES)
        / duration_s(match, text_of(beginning, run, 2 * CHARS), TRIES)
        for _ in range(3)
    )


def slow_texts(match: Callable[[str], object], slow_s: float) -> Iterator[tuple[str, str]]:
    texts = product(BEGINNINGS, RUNS)
    return ((b, r) for b, r in texts if duration_s(match, text_of(b, r, CHARS), 1) > slow_s)


@pytest.mark.parametrize("name", PATTERNS)
def test_the_time_is_linear(name: str) -> None:
    match = PATTERNS[name]
    slow_s = SLOW_S * (10 if name.startswith("redact") else 1)
    ratios = {(b, r): ratio_of(match, b, r) for b, r in slow_texts(match, slow_s)}
    assert {text: ratio for text, ratio in ratios.items() if ratio > MAX_RATIO} == {}


@pytest.mark.parametrize(
    "quadratic", [r"://[^\s]*@", r"token=\\+[\"'].*?(?:\\+\"|$)", r"eyJ[\w-]{4,}+\."], ids=range(3)
)
def test_a_quadratic_pattern_is_found(quadratic: str) -> None:
    match = re.compile(quadratic).findall
    assert any(ratio_of(match, b, r) > MAX_RATIO for b, r in slow_texts(match, SLOW_S))
