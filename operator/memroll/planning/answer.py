"""What a gate answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A gate's answer. It holds when it has words."""

    words: str
    value: str
    threshold: str
