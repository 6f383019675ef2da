"""Turns of namespaces: the order in which keys that are due get the slots of a work queue, or of evidence captures.

Keys go in, the next key to handle comes out. Namespaces with waiting keys are served in turn, one key each, and one
namespace has at most a part of the slots at once: keys of a namespace wait for each other, not for those of another.
Pure, without a clock.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll.controller.key import Key

MAX_FIRSTS_IN_A_ROW = 3
"""Maximum number of starts one after the other of keys that wait `first` while others wait in turn. Chosen by hand."""


class FairTurns:
    """Waiting and running keys of one set of slots. `max_per_namespace`: slots that one namespace may have at once."""

    def __init__(self, slots: int, max_per_namespace: int) -> None:
        self._slots = slots
        self._max_per_namespace = max_per_namespace
        self._waiting: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()
        self._first: OrderedDict[Key, None] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._firsts_in_a_row = 0

    def add(self, key: Key, *, first: bool = False) -> None:
        """Let a key wait at the end of its namespace's keys; with `first`, before all keys that wait in turn.

        While others wait in turn, one of four starts is theirs.
        """
        if first:
            self._remove_from_turn(key)
            self._first[key] = None
        elif key not in self._first:
            self._waiting.setdefault(key.namespace, OrderedDict())[key] = None

    def start_next(self) -> Key | None:
        """Return the next key, which has a slot from now on; None if no waiting key may start."""
        if self._running.total() >= self._slots:
            return None
        in_turn = next((ns for ns in self._waiting if self._has_slot(ns)), None)
        first = next((key for key in self._first if self._has_slot(key.namespace)), None)
        if first is not None and (in_turn is None or self._firsts_in_a_row < MAX_FIRSTS_IN_A_ROW):
            self._firsts_in_a_row += 1
            del self._first[first]
            return self._start(first)
        self._firsts_in_a_row = 0
        return None if in_turn is None else self._start(self._take_from_turn(in_turn))

    def finish(self, key: Key) -> None:
        """Free the slot of a key."""
        self._running[key.namespace] -= 1
        if not self._running[key.namespace]:
            del self._running[key.namespace]

    def _start(self, key: Key) -> Key:
        self._running[key.namespace] += 1
        return key

    def _has_slot(self, namespace: str) -> bool:
        return self._running[namespace] < self._max_per_namespace

    def _take_from_turn(self, namespace: str) -> Key:
        """Return the first waiting key of a namespace, whose next turn is after those of all others."""
        keys = self._waiting[namespace]
        key, _ = keys.popitem(last=False)
        self._waiting.move_to_end(namespace)
        if not keys:
            del self._waiting[namespace]
        return key

    def _remove_from_turn(self, key: Key) -> None:
        keys = self._waiting.get(key.namespace)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                del self._waiting[key.namespace]
