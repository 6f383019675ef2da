"""Search for orphaned pods: one for many requests, seldom without any, soon again while pods are left."""

from __future__ import annotations

import asyncio

import pytest

from memroll.controller import orphan_sweep
from memroll.controller.orphan_sweep import OrphanSweep
from memroll.errors import ClusterUnavailableError
from memroll.rolling.orphans import OrphanedPod
from tests.fakes import pod_key

LEFT = (OrphanedPod(pod_key("left"), "not restored"),)


@pytest.fixture(autouse=True)
def _short_times(monkeypatch):
    for name, seconds in {"GATHER_S": 0.02, "INTERVAL_S": 10.0, "RETRY_S": 0.03}.items():
        monkeypatch.setattr(orphan_sweep, name, seconds)


async def count_searches(results, requests, seconds):
    """Run the sweep for a time; return the number of searches. `results`: of the searches, the last one repeated."""
    sweep, count = OrphanSweep(), 0

    async def search():
        nonlocal count
        count += 1
        result = results[min(count, len(results)) - 1]
        if isinstance(result, Exception):
            raise result
        return result

    task = asyncio.create_task(sweep.run(search))
    for _ in range(requests):
        sweep.request()
        await asyncio.sleep(0)
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return count


async def test_many_deleted_rolls_cause_one_search():
    assert await count_searches([()], requests=200, seconds=0.15) == 1


async def test_without_a_request_there_is_none_for_minutes():
    assert await count_searches([()], requests=0, seconds=0.1) == 0


@pytest.mark.parametrize("first", [LEFT, ClusterUnavailableError("Timeout", "slow"), ValueError("a bug")])
async def test_orphaned_pods_that_are_left_and_errors_are_followed_by_another_search(first):
    assert await count_searches([first, ()], requests=1, seconds=0.4) == 2
