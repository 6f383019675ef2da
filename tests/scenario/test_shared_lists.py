"""The first reconciles after a start list the pods of each namespace once, also if a list is used for less time.

500 policies in 100 namespaces are due at once, and their reconciles take five minutes of the one core. The times are
virtual.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from memroll.controller.key import Key
from memroll.controller.manager import MAX_POLICIES_PER_TURN
from memroll.controller.shared_pods import MAX_AGE_S, SharedPods
from memroll.controller.workqueue import Pace, WorkQueue
from tests.builders import pod
from tests.scenario import virtual_time

NAMESPACES, POLICIES_IN_EACH, RECONCILE_S = 100, 5, 0.65


class CountingReader:
    """Reader of pods that counts its lists by namespace."""

    def __init__(self) -> None:
        self.lists = Counter[str]()

    async def list_all_pods(self, namespace: str, max_pods: int) -> Any:
        self.lists[namespace] += 1
        await asyncio.sleep(0.05)
        return (pod("a"),)


async def sweep(max_per_turn: int) -> tuple[Counter[str], float]:
    """Reconcile all policies once; return the lists of pods, and the time that it took."""
    loop, core, reader = asyncio.get_running_loop(), virtual_time.Processor(), CountingReader()
    shared: SharedPods = SharedPods(reader, loop.time)  # type: ignore[arg-type]
    done: set[Key] = set()

    async def reconcile(key: Key) -> None:
        await shared.list_namespace(key.namespace, MAX_AGE_S, 1000)
        await core.use(RECONCILE_S)
        done.add(key)

    queue = WorkQueue(reconcile, 4, Pace(max_per_turn=max_per_turn, now=loop.time))
    for i in range(NAMESPACES * POLICIES_IN_EACH):
        queue.enqueue(Key(f"team-{i % NAMESPACES}", str(i)))
    task = asyncio.ensure_future(queue.run())
    while len(queue):  # noqa: ASYNC110 - in virtual time
        await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(done) == NAMESPACES * POLICIES_IN_EACH
    return reader.lists, loop.time()


def test_the_policies_of_a_namespace_share_a_list_in_a_sweep_that_takes_minutes():
    lists, took_s = virtual_time.run(sweep(MAX_POLICIES_PER_TURN))
    assert took_s > 10 * MAX_AGE_S
    assert len(lists) == NAMESPACES
    assert lists.total() == NAMESPACES
