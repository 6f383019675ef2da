from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from typing import Any

from memroll.log_context import about, apart, named

NAMES = ("namespace", "policy", "roll", "pod")


def said(**extra: Any) -> dict[str, Any]:
    """Return the names on a line that is logged now."""
    record = logging.makeLogRecord({"msg": "x"} | extra)
    assert named(record)
    return {name: getattr(record, name) for name in NAMES if hasattr(record, name)}


def test_names_hold_for_what_follows_and_no_longer():
    with about(namespace="ai", roll="chat-1"):
        with about(policy="chat", pod="chat-0"):
            assert said() == {"namespace": "ai", "roll": "chat-1", "policy": "chat", "pod": "chat-0"}
        assert said() == {"namespace": "ai", "roll": "chat-1"}
    assert said() == {}


def test_an_empty_value_names_nothing():
    with about(policy=""):
        assert said() == {}


def test_what_a_line_says_itself_stays():
    with about(namespace="ai", pod="chat-0"):
        assert said(pod="chat-1") == {"namespace": "ai", "pod": "chat-1"}


def test_what_is_about_something_else_is_told_apart():
    with about(namespace="ai", roll="chat-1"):
        with apart():
            assert said(namespace="web") == {"namespace": "web"}
        assert said() == {"namespace": "ai", "roll": "chat-1"}


async def test_tasks_and_threads_inherit_the_names_and_give_none_back():
    async def child(pod: str) -> dict[str, Any]:
        with about(pod=pod):
            await asyncio.sleep(0)
            return await asyncio.to_thread(said)

    with about(policy="chat"):
        found = await asyncio.gather(child("chat-0"), child("chat-1"))
        assert found == [{"policy": "chat", "pod": "chat-0"}, {"policy": "chat", "pod": "chat-1"}]
        assert said() == {"policy": "chat"}
        assert copy_context().run(said) == {"policy": "chat"}
