"""Context of a run, and the bus that delivers its progress to subscribers."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

current: ContextVar[RunContext] = ContextVar("run")
"""Context of the current run; asyncio tasks that the run starts inherit it."""


@dataclass(eq=False)
class RunContext:
    """Task of a run, and the results of its tools."""

    run_id: str
    task: str
    observations: list[str] = field(default_factory=list)
    progress: int = 0

    def on_event(self, topic: str) -> None:
        """Count an event of this run."""
        if topic == self.run_id:
            self.progress += 1


class Bus:
    """Bus that calls subscribers on events. Subscribers must unsubscribe: the bus lives as long as the process."""

    def __init__(self) -> None:
        self._callbacks: dict[str, Callable[[str], None]] = {}

    def __len__(self) -> int:
        return len(self._callbacks)

    def subscribe(self, topic: str, callback: Callable[[str], None]) -> None:
        self._callbacks[topic] = callback

    def unsubscribe(self, topic: str) -> None:
        self._callbacks.pop(topic, None)

    def publish(self, topic: str) -> None:
        if topic in self._callbacks:
            self._callbacks[topic](topic)
