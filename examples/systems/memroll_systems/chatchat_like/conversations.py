"""What was said so far, by session: kept for ever, or within bounds."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECENT = 4
"""Turns that the model is given again."""
SESSIONS_MOST, TURNS_MOST = 20, 5
TEMPLATE = """# Known
{known}

# Said before
{before}

# Question
{question}
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the prompt that it became: what the model was given, for whoever asks why it said that."""

    question: str
    prompt: str


class Conversations:
    """The turns of all sessions. Bounded, it forgets old turns and the sessions that nobody has used for longest."""

    def __init__(self, *, bounded: bool) -> None:
        self._sessions: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._turns_most = TURNS_MOST if bounded else None
        self._sessions_most = SESSIONS_MOST if bounded else None

    def __len__(self) -> int:
        return len(self._sessions)

    def turns(self) -> Iterator[Turn]:
        for turns in self._sessions.values():
            yield from turns

    def ask(self, session: str, question: str, known: Sequence[str]) -> Turn:
        """Put a question into its conversation, and return the turn that it makes."""
        turns = self._sessions.setdefault(session, deque(maxlen=self._turns_most))
        self._sessions.move_to_end(session)
        before = "\n".join(turn.question for turn in list(turns)[-RECENT:])
        prompt = TEMPLATE.format(known="\n".join(known), before=before, question=question)  # the leak
        turns.append(Turn(question, prompt))
        if self._sessions_most is not None and len(self._sessions) > self._sessions_most:
            self._sessions.popitem(last=False)
        return turns[-1]
