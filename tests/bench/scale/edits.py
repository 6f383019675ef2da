"""Edits of policies while the operator is busy: the time from the change of a policy until the end of its reconcile."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.bench.scale.api import MEMROLL, MERGE_PATCH
from tests.kstatus import is_reconciled

if TYPE_CHECKING:
    from tests.bench.scale.api import BenchApi
    from tests.bench.scale.observer import Key

POLL_S = 0.25


async def edit_some(api: BenchApi, keys: list[Key], interval_s: int, within_s: float) -> list[float | None]:
    """Edit these policies, one after the other, spread over a time; return the seconds until each reconcile.

    None for a policy whose reconcile did not end in that time.
    """
    start_s, found, pause_s = time.monotonic(), [], within_s / (len(keys) + 1)
    for number, key in enumerate(keys):
        await asyncio.sleep(max(0.0, start_s + (number + 1) * pause_s - time.monotonic()))
        found.append(asyncio.create_task(_edit(api, key, interval_s + 1, start_s + within_s)))
    return list(await asyncio.gather(*found))


async def _edit(api: BenchApi, key: Key, interval_s: int, deadline_s: float) -> float | None:
    path = f"{MEMROLL}/namespaces/{key[0]}/memorypolicies/{key[1]}"
    before_s = time.monotonic()
    changed = await api.send("PATCH", path, {"spec": {"interval": f"{interval_s}s"}}, "bench", MERGE_PATCH)
    generation = changed["metadata"]["generation"]
    while time.monotonic() < deadline_s:
        policy = await api.send("GET", path)
        if policy["metadata"]["generation"] == generation and is_reconciled(policy):
            return time.monotonic() - before_s
        await asyncio.sleep(POLL_S)
    return None
