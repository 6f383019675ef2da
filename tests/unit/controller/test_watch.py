"""The watch: which events of the API server enqueue an object."""

from __future__ import annotations

from typing import Any

import kopf

from memroll.controller import watch


def body(generation: int, **meta: Any) -> kopf.Body:
    return kopf.Body({"metadata": {"uid": "u", "name": "n", "namespace": "ns", "generation": generation} | meta})


async def test_only_changes_of_the_spec_and_deletions_enqueue():
    """A status write of memroll must not enqueue the policy whose reconcile wrote it."""
    enqueued: list[tuple[str, str]] = []
    registry = watch.build_registry({"memorypolicies": lambda *key: enqueued.append(key)})
    (handler,) = registry._watching.get_all_handlers()
    changes = [(None, body(1)), ("MODIFIED", body(1)), ("MODIFIED", body(2)), ("MODIFIED", body(2))]
    for type_, seen in [*changes, ("DELETED", body(2)), ("ADDED", body(2))]:
        await handler.fn(type=type_, body=seen)
    assert enqueued == [("ns", "n")] * 4
