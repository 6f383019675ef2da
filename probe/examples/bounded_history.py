"""Conversations that do not grow for ever: the last messages of each, and the last conversations of all.

`collections.deque(maxlen=...)` bounds one history. The number of conversations needs a bound of its own: users come
back or they don't. Here the least recently used goes first; `cachetools.TTLCache(maxsize=..., ttl=...)` in the place
of the OrderedDict also forgets by time. What must outlive the process belongs into a database.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

Message = dict[str, str]


class Conversations:
    def __init__(self, most_conversations: int = 1_000, most_messages: int = 50) -> None:
        self._most_conversations, self._most_messages = most_conversations, most_messages
        self._lock = threading.Lock()
        self._histories: OrderedDict[str, deque[Message]] = OrderedDict()

    def add(self, conversation: str, role: str, content: str) -> None:
        with self._lock:
            history = self._histories.setdefault(conversation, deque(maxlen=self._most_messages))
            history.append({"role": role, "content": content})
            self._histories.move_to_end(conversation)
            if len(self._histories) > self._most_conversations:
                self._histories.popitem(last=False)

    def of(self, conversation: str) -> list[Message]:
        with self._lock:
            return list(self._histories.get(conversation, ()))

    def __len__(self) -> int:
        return len(self._histories)
