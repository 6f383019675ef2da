"""Log lines: one JSON object each, with the fields of the current context."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from contextvars import copy_context
from typing import Any

from memroll import logs
from memroll.logs import add_context, clear_log_context, log_context

FIELDS = ("namespace", "policy", "roll", "pod")


def logged_fields(**extra: Any) -> dict[str, Any]:
    """Return the fields of a record that is logged now."""
    record = logging.makeLogRecord({"msg": "x"} | extra)
    assert add_context(record)
    return {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}


def test_a_log_line_is_one_json_object(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("json", "INFO")
        logging.getLogger("memroll.test").info("roll", extra={"pod": 'a"b\n'})
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["message"], line["pod"], line["logger"]) == ("INFO", "roll", 'a"b\n', "memroll.test")


def test_fields_are_added_inside_the_block_only():
    with log_context(namespace="ai", roll="chat-1"):
        with log_context(policy="chat", pod="chat-0"):
            assert logged_fields() == {"namespace": "ai", "roll": "chat-1", "policy": "chat", "pod": "chat-0"}
        assert logged_fields() == {"namespace": "ai", "roll": "chat-1"}
    assert logged_fields() == {}


def test_an_empty_value_adds_no_field():
    with log_context(policy=""):
        assert logged_fields() == {}


def test_a_field_of_the_record_itself_is_not_overwritten():
    with log_context(namespace="ai", pod="chat-0"):
        assert logged_fields(pod="chat-1") == {"namespace": "ai", "pod": "chat-1"}


def test_a_cleared_context_is_restored_after_the_block():
    with log_context(namespace="ai", roll="chat-1"):
        with clear_log_context():
            assert logged_fields(namespace="web") == {"namespace": "web"}
        assert logged_fields() == {"namespace": "ai", "roll": "chat-1"}


async def test_tasks_and_threads_inherit_fields_and_do_not_change_those_of_their_parent():
    async def child(pod: str) -> dict[str, Any]:
        with log_context(pod=pod):
            await asyncio.sleep(0)
            return await asyncio.to_thread(logged_fields)

    with log_context(policy="chat"):
        found = await asyncio.gather(child("chat-0"), child("chat-1"))
        assert found == [{"policy": "chat", "pod": "chat-0"}, {"policy": "chat", "pod": "chat-1"}]
        assert logged_fields() == {"policy": "chat"}
        assert copy_context().run(logged_fields) == {"policy": "chat"}
