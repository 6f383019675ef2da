"""Entries by key, made when they are first needed, without those that have not been used for longest.

The event recorder keeps what it has written of each Event, the work queue the wakes of each namespace: both by keys
that tenants choose, so that their number must be bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")


class RecentEntries(Generic[K, V]):
    """At most `max_entries` entries; `make` makes a new one."""

    def __init__(self, make: Callable[[], V], max_entries: int) -> None:
        self._make, self._max_entries = make, max_entries
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, key: K) -> V:
        """Return the entry of a key, made if it is missing."""
        if key not in self._entries:
            self._entries[key] = self._make()
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        return self._entries[key]
