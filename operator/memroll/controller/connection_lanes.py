"""Lanes of the policies' work queue: the policies of each Prometheus connection have slots of their own.

A connection that hangs holds the slots of its own policies only. `PolicyController` notes the connection of each policy
that it reads; the work queue calls `lane_of` before that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll.controller.key import Key

NO_LANE = ""
"""Lane of policies that were not read yet, and of those whose connection does not exist: they query nothing."""


@dataclass(frozen=True, slots=True)
class ConnectionLanes:
    """Connections of the policies. A tenant can name any connection: only those that exist are lanes."""

    exists: Callable[[str], bool]
    """Return whether the administrator configured a connection of this name."""
    _lanes: dict[Key, str] = field(default_factory=dict)

    def lane_of(self, key: Key) -> str:
        """Return the lane of a policy."""
        return self._lanes.get(key, NO_LANE)

    def move(self, key: Key, connection: str) -> bool:
        """Note the connection of a policy; return whether it belongs to another lane than it was handled in."""
        lane, before = connection if self.exists(connection) else NO_LANE, self.lane_of(key)
        if lane != before:
            self._lanes[key] = lane
        return lane != before

    def forget(self, key: Key) -> None:
        """Remove a policy that does not exist any longer."""
        self._lanes.pop(key, None)
