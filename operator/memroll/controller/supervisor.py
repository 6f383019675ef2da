"""Supervisor of the background tasks: starts a task that fails again, and ends the process if it keeps failing.

Named functions that start a task go in, the name of the first task that ended comes out. `manager` calls `supervise`.
An object in the cluster may make a task fail. If that ended the process, Kubernetes would start a new one that finds
the same object, and nothing would be assessed or rolled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    StartTask = Callable[[], Coroutine[Any, Any, object]]

logger = logging.getLogger(__name__)

MAX_FAILURES = 5
"""Maximum number of failures of a task, with less than `STABLE_S` before each, until the process ends. By hand."""
STABLE_S = 600.0
"""Time in seconds that a task runs without a failure until its earlier ones no longer count. Chosen by hand."""
FIRST_PAUSE_S = 1.0
"""Pause in seconds before the first restart, doubled for each further failure. Chosen by hand.

All pauses before the process ends are shorter than the limit of the loop lag monitor, which is a task, too.
"""


async def supervise(tasks: Mapping[str, StartTask], on_restart: Callable[[str], None] = lambda _: None) -> str:
    """Run the tasks until the first one ends; cancel the others and return the name of the ended one.

    A task that fails is started again after a pause, and `on_restart` is called with its name. The exception of a task
    that keeps failing is raised: a process that looks alive and does nothing is worse than a restart.
    """
    running = {
        asyncio.create_task(_keep_running(name, start, on_restart), name=name): name for name, start in tasks.items()
    }
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        first = done.pop()
        first.result()
        return running[first]
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _keep_running(name: str, start: StartTask, on_restart: Callable[[str], None]) -> None:
    """Run one task until it ends without an error. Raise its error at the last of too many failures."""
    failures = 0
    while True:
        started_s = time.monotonic()
        try:
            await _run_once(start)
        except Exception:
            is_stable = time.monotonic() - started_s >= STABLE_S
            failures = 1 if is_stable else failures + 1
            if failures >= MAX_FAILURES:
                logger.exception("bug: the task %s failed %d times in a row; the process ends", name, failures)
                raise
            pause_s = FIRST_PAUSE_S * 2 ** (failures - 1)
            logger.exception("bug: the task %s failed; it is started again in %.0f s", name, pause_s)
        else:
            return
        on_restart(name)
        await asyncio.sleep(pause_s)


async def _run_once(start: StartTask) -> None:
    """Run a task to its end. A cancellation from within the task is a failure, not the end of the process."""
    try:
        await start()
    except asyncio.CancelledError:
        own = asyncio.current_task()
        if own is None or own.cancelling():
            raise
        raise RuntimeError("the task was cancelled from within") from None
