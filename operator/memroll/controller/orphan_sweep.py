"""Search for orphaned pods: at most one at a time, for however many PodRolls that are gone.

A search lists the released pods of all namespaces. The controller requests one for each PodRoll that is gone and the
resync one for each new leadership; `run` is a background task that makes one search for all requests of some seconds.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from memroll.errors import MemrollError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from memroll.rolling.orphans import OrphanedPod

    Search = Callable[[], Awaitable[tuple[OrphanedPod, ...]]]

logger = logging.getLogger(__name__)

GATHER_S = 3.0
"""Seconds for which requests are gathered before a search; chosen by hand."""
INTERVAL_S = 300.0
"""Seconds between two searches without a request, chosen by hand: a pod is orphaned only by a process that was killed,
whose successor searches first, or by a PodRoll that is gone, which requests a search."""
RETRY_S = 30.0
"""Seconds until the next search while orphaned pods are left, or after an error. Chosen by hand."""


class OrphanSweep:
    """Searches for orphaned pods, on request and periodically."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Have orphaned pods searched soon."""
        self._requested.set()

    async def run(self, search: Search) -> None:
        """Search until cancelled. `search` handles the orphaned pods and returns them."""
        wait_s = INTERVAL_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._requested.wait()
            await asyncio.sleep(GATHER_S)
            self._requested.clear()
            wait_s = await _search_once(search)


async def _search_once(search: Search) -> float:
    """Search once; return the seconds until the next search without a request."""
    try:
        return RETRY_S if await search() else INTERVAL_S
    except MemrollError as error:
        logger.warning("the search for orphaned pods failed: %s", error)
    except Exception:  # the next search may succeed
        logger.exception("bug: the search for orphaned pods failed")
    return RETRY_S
