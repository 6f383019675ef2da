"""Repetition of a command's output with `--watch`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

PERIOD_S = 5.0
"""Period in seconds in which a watched state is read again; chosen by hand."""


async def repeat(read: Callable[[], Awaitable[T]], show: Callable[[T], None], *, watch: bool) -> T:
    """Read and show a state; with `watch` again and again, whenever it has changed, until Ctrl-C."""
    shown = await read()
    show(shown)
    while watch:
        await asyncio.sleep(PERIOD_S)
        found = await read()
        if found != shown:
            show(found)
            shown = found
    return shown
