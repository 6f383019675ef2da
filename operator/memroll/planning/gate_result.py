"""What a gate says: why it holds, and always what it looked at beside what it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING

from memroll.planning.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.planning.candidate import Candidate, Context

    Gate = Callable[[Candidate, Context], Answer]

HOLD_CHARS_MAX = 256
NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Finding:
    """The same for people, who want to know which gate it was."""

    gate: str
    holds: bool
    words: str
    value: str
    threshold: str


def ask(gate: Gate, candidate: Candidate, context: Context) -> Finding:
    answer = gate(candidate, context)
    words = answer.words[:HOLD_CHARS_MAX]
    return Finding(gate.__name__, bool(words), words, answer.value, answer.threshold)


def in_words(gate: Callable[[Candidate, Context], str | None]) -> Gate:
    """Make a gate of a function that has words only: they are its value, too."""

    @wraps(gate)
    def asked(candidate: Candidate, context: Context) -> Answer:
        words = gate(candidate, context) or ""
        return Answer(words, words or NOTHING, NOTHING)

    return asked
