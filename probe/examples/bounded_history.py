"""Conversation histories of limited size: the last messages of each, and the most recently used conversations.

`collections.deque(maxlen=...)` limits one history. The number of conversations needs a limit of its own, because users
may not return. This example removes the least recently used conversation. `cachetools.TTLCache(maxsize=..., ttl=...)`
instead of the OrderedDict also removes old ones. Data that must outlive the process belongs in a database.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

Message = dict[str, str]


class Conversations:
    def __init__(self, max_conversations: int = 1_000, max_messages: int = 50) -> None:
        self._max_conversations, self._max_messages = max_conversations, max_messages
        self._lock = threading.Lock()
        self._histories: OrderedDict[str, deque[Message]] = OrderedDict()

    def add(self, conversation: str, role: str, content: str) -> None:
        with self._lock:
            history = self._histories.setdefault(conversation, deque(maxlen=self._max_messages))
            history.append({"role": role, "content": content})
            self._histories.move_to_end(conversation)
            if len(self._histories) > self._max_conversations:
                self._histories.popitem(last=False)

    def of(self, conversation: str) -> list[Message]:
        with self._lock:
            return list(self._histories.get(conversation, ()))

    def __len__(self) -> int:
        return len(self._histories)
