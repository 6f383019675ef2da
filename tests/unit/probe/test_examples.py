"""The patterns that the docs recommend do what they promise."""

from __future__ import annotations

import gc
import importlib.util

import pytest

from tests.unit.probe.driving import ROOT


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"probe/examples/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_weak_cache_shares_what_is_in_use_and_forgets_the_rest():
    weak_cache = example("weak_cache")
    components = weak_cache.Components()
    first = weak_cache.Flow(components, ["prompt", "chat"])
    second = weak_cache.Flow(components, ["chat"])
    assert first.components[1] is second.components[0]
    assert len(components) == 2
    del first
    gc.collect()
    assert len(components) == 1


def test_a_thousand_closed_flows_leave_nothing_behind():
    weak_cache = example("weak_cache")
    components = weak_cache.Components()
    for number in range(1_000):
        weak_cache.Flow(components, [f"component {number}"])
    gc.collect()
    assert len(components) == 0


def test_a_history_keeps_its_last_messages():
    conversations = example("bounded_history").Conversations(most_messages=3)
    for number in range(10):
        conversations.add("ann", "user", str(number))
    assert [m["content"] for m in conversations.of("ann")] == ["7", "8", "9"]


@pytest.mark.parametrize("used_again", ["first", "nobody"])
def test_the_conversation_that_was_not_used_for_longest_is_forgotten(used_again):
    conversations = example("bounded_history").Conversations(most_conversations=2)
    for name in ("first", "second", used_again, "third"):
        if name != "nobody":
            conversations.add(name, "user", "hello")
    assert len(conversations) == 2
    assert conversations.of("first" if used_again == "nobody" else "second") == []
