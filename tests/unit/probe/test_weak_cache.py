"""The weak cache that docs/probe.md recommends does not leak."""

from __future__ import annotations

import gc

from tests.unit.probe.harness import example


def test_a_weak_cache_shares_objects_in_use_and_forgets_the_others():
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
