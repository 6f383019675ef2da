"""The bounded history that docs/probe.md recommends does not leak."""

from __future__ import annotations

import pytest

from tests.unit.probe.harness import example


def test_a_history_keeps_its_last_messages():
    conversations = example("bounded_history").Conversations(max_messages=3)
    for number in range(10):
        conversations.add("ann", "user", str(number))
    assert [m["content"] for m in conversations.of("ann")] == ["7", "8", "9"]


@pytest.mark.parametrize("used_again", ["first", "none"])
def test_the_least_recently_used_conversation_is_forgotten(used_again):
    conversations = example("bounded_history").Conversations(max_conversations=2)
    for name in ("first", "second", used_again, "third"):
        if name != "none":
            conversations.add(name, "user", "hello")
    assert len(conversations) == 2
    assert conversations.of("first" if used_again == "none" else "second") == []
