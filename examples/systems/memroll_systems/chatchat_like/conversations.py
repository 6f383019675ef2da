"""Turns of conversations, by session: kept forever, or bounded."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECENT = 4
"""Number of previous turns in a prompt."""
MAX_SESSIONS, MAX_TURNS = 20, 5
TEMPLATE = """# Known
{known}

# Previous turns
{before}

# Question
{question}
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """Question and prompt: the model's input, kept so that its answer can be explained."""

    question: str
    prompt: str


class Conversations:
    """Turns of all sessions. If bounded, old turns and the least recently used sessions are discarded."""

    def __init__(self, *, bounded: bool) -> None:
        self._sessions: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._max_turns = MAX_TURNS if bounded else None
        self._max_sessions = MAX_SESSIONS if bounded else None

    def __len__(self) -> int:
        return len(self._sessions)

    def turns(self) -> Iterator[Turn]:
        for turns in self._sessions.values():
            yield from turns

    def add_turn(self, session: str, question: str, known: Sequence[str]) -> Turn:
        """Add a question to its conversation, and return the new turn."""
        turns = self._sessions.setdefault(session, deque(maxlen=self._max_turns))
        self._sessions.move_to_end(session)
        before = "\n".join(turn.question for turn in list(turns)[-RECENT:])
        prompt = TEMPLATE.format(known="\n".join(known), before=before, question=question)  # the leak
        turns.append(Turn(question, prompt))
        if self._max_sessions is not None and len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)
        return turns[-1]
