"""The watch: which events of the API server enqueue an object, and what the index contains after them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import kopf
import pytest

from memroll.api import ROLL_PLURAL
from memroll.controller import watch
from memroll.controller.context import new_policy_index, new_roll_index
from memroll.controller.manager import watched_kind
from tests.builders import policy_json, roll_json

SELECTOR = {"mode": "Observe", "selector": {"matchLabels": {"app": "leaky"}}}


def handler_of(kind: watch.WatchedKind) -> Any:
    (handler,) = watch.build_registry({"any": kind})._watching.get_all_handlers()
    return handler.fn


def with_meta(raw: dict[str, Any], **meta: Any) -> kopf.Body:
    return kopf.Body(raw | {"metadata": raw["metadata"] | meta})


def a_policy(generation: int) -> kopf.Body:
    return with_meta(policy_json(SELECTOR), generation=generation)


async def test_only_changes_of_the_spec_and_deletions_enqueue():
    """A status write of memroll must not enqueue the policy whose reconcile wrote it."""
    enqueued: list[tuple[str, str]] = []
    changed = handler_of(watched_kind(new_policy_index(), lambda *key: enqueued.append(key)))
    changes = [(None, a_policy(1)), ("MODIFIED", a_policy(1)), ("MODIFIED", a_policy(2)), ("MODIFIED", a_policy(2))]
    for type_, seen in [*changes, ("DELETED", a_policy(2)), ("ADDED", a_policy(2))]:
        await changed(type=type_, body=seen)
    assert enqueued == [("demo", "leaky")] * 4


@pytest.mark.parametrize(("phase", "is_enqueued"), [("Succeeded", False), ("Failed", False), ("Draining", True)])
async def test_a_listed_podroll_is_enqueued_unless_it_has_ended(phase, is_enqueued):
    enqueued: list[tuple[str, str]] = []
    index = new_roll_index()
    changed = handler_of(watched_kind(index, lambda *key: enqueued.append(key)))
    for type_ in (None, "DELETED"):
        await changed(type=type_, body=with_meta(roll_json(phase)))
    assert enqueued == [("demo", "leaky-abc-1")] * 2 * is_enqueued
    assert (len(index), index.was_relisted) == (0, True)


async def test_a_canceled_podroll_is_enqueued_and_its_progress_is_not():
    enqueued: list[tuple[str, str]] = []
    index = new_roll_index()
    changed = handler_of(watched_kind(index, lambda *key: enqueued.append(key)))
    await changed(type="ADDED", body=with_meta(roll_json(), resourceVersion="3"))
    await changed(type="MODIFIED", body=with_meta(roll_json("Draining"), resourceVersion="4"))
    assert len(enqueued) == 1
    assert [r.status.phase for r in index.of_namespace("demo")] == ["Draining"]
    await changed(type="MODIFIED", body=with_meta(roll_json("Draining"), resourceVersion="5", generation=2))
    assert len(enqueued) == 2


async def test_events_are_decoded_in_the_thread_of_the_watch_and_taken_in_the_loop_of_memroll(monkeypatch):
    threads: dict[str, int] = {}
    taken = asyncio.Event()

    async def deliver(registry: kopf.OperatorRegistry, *_: Any) -> None:
        (handler,) = registry._watching.get_all_handlers()
        await handler.fn(type=None, body=with_meta(roll_json("Draining")))

    def observe(event: watch.WatchEvent) -> None:
        threads["observe"] = threading.get_ident()
        assert event == watch.WatchEvent("demo", "leaky-abc-1", "roll-1", "record", is_listed=True)
        taken.set()

    def decode(_: dict[str, Any]) -> str:
        threads["decode"] = threading.get_ident()
        return "record"

    monkeypatch.setattr(watch, "_operate", deliver)
    await watch.watch({ROLL_PLURAL: watch.WatchedKind(decode, observe)}, "me", (), threading.Event())
    await asyncio.wait_for(taken.wait(), 5)
    assert threads["observe"] == threading.get_ident() != threads["decode"]


def test_kopf_lists_in_pages_and_keeps_no_object_for_long():
    settings = kopf.OperatorSettings()
    watch._configure(settings)
    assert settings.watching.chunk_size == watch.CHUNK_SIZE
    assert settings.queueing.idle_timeout < 1
