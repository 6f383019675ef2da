"""Slots of evidence captures: a capture that waits for a slow pod holds no slot of the rolls' work queue.

The action that captures evidence calls `capture` at each step of its roll. The first call starts the capture, or lets
it wait for a slot; the roll is woken when it ends. Namespaces are served in turn, and one has a few slots at most.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from memroll.controller.fair_turns import FairTurns
from memroll.controller.key import Key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from memroll.api.evidence import Evidence
    from memroll.api.pod_roll import PodRoll

MAX_CONCURRENT_CAPTURES = 8
"""Maximum number of captures at once. Chosen by hand: each holds a response of up to 256 KiB and its parsed text."""
MAX_CAPTURES_PER_NAMESPACE = 2
"""Maximum number of captures of one namespace at once. Chosen by hand."""
MARGIN_S = 3.0
"""Time in seconds by which a capture ends before the roll would go on without it. Chosen by hand: three steps."""
MIN_SHARED_S = 4.0
"""Time in seconds below which a capture is a part of its step, and waits for no slot. Chosen by hand: `MARGIN_S`, and
the least time of a capture."""
QUICK_S = 0.5
"""Time in seconds that the step which starts a capture waits for it. Chosen by hand: most captures are quicker, and
need no second step."""
MAX_UNREAD_S = 120.0
"""Time in seconds after which a result is dropped that no step reads, because its roll ended. Chosen by hand."""


@dataclass(slots=True)
class _Capture:
    """Capture of one roll: it waits for a slot, runs, or has ended."""

    roll: Key
    capture: Callable[[float], Awaitable[Evidence]]
    until: float
    """Time at which the capture must have ended, on the clock of the event loop."""
    task: asyncio.Task[Evidence] | None = None
    is_awaited: bool = False
    """True while the step that has started the capture waits for it."""


class CaptureSlots:
    """Captures of all rolls. `wake` is called with the key of a roll whose capture has ended."""

    def __init__(
        self,
        wake: Callable[[Key], None],
        slots: int = MAX_CONCURRENT_CAPTURES,
        max_per_namespace: int = MAX_CAPTURES_PER_NAMESPACE,
    ) -> None:
        self._wake = wake
        self._turns = FairTurns(slots, max_per_namespace)
        self._captures: dict[Key, _Capture] = {}

    async def capture(
        self, roll: PodRoll, available_s: float, capture: Callable[[float], Awaitable[Evidence]]
    ) -> Evidence | None:
        """Return the evidence once; None while it is being captured between the steps. Raise what the capture raised.

        `capture` is called with the seconds that it may take.
        """
        key = Key(roll.namespace, roll.uid)
        found = self._captures.get(key)
        if found is None:
            if available_s < MIN_SHARED_S:
                return await capture(available_s)
            self._drop_unread()
            until = _now() + available_s - MARGIN_S
            self._captures[key] = _Capture(Key(roll.namespace, roll.name), capture, until)
            self._turns.add(key)
            self._start()
            found = self._captures.get(key)
            if found is not None and found.task is not None:
                found.is_awaited = True
                await asyncio.wait({found.task}, timeout=QUICK_S)
                found.is_awaited = False
        if found is None or found.task is None or not found.task.done():
            return None
        del self._captures[key]
        return found.task.result()

    def _start(self) -> None:
        while (key := self._turns.start_next()) is not None:
            found = self._captures.get(key)
            left_s = 0.0 if found is None else found.until - _now()
            if found is None or left_s <= 0:  # its roll has gone on without it
                self._captures.pop(key, None)
                self._turns.finish(key)
                continue
            found.task = asyncio.ensure_future(found.capture(left_s))
            found.task.add_done_callback(partial(self._finished, key))

    def _finished(self, key: Key, task: asyncio.Future[Evidence]) -> None:
        self._turns.finish(key)
        self._start()
        if not task.cancelled():
            task.exception()  # marks it as retrieved: it may never be read
        found = self._captures.get(key)
        if found is not None and not found.is_awaited:
            self._wake(found.roll)

    def _drop_unread(self) -> None:
        """Drop what no step has read: the roll has ended meanwhile, or another process continues it."""
        oldest = _now() - MAX_UNREAD_S
        for key, capture in list(self._captures.items()):
            if capture.until < oldest and (capture.task is None or capture.task.done()):
                del self._captures[key]


def _now() -> float:
    return asyncio.get_running_loop().time()
