"""Turns of namespaces: the order in which keys that are due get the slots of a work queue, or of evidence captures.

Keys go in, the next key to handle comes out. Namespaces with waiting keys are served in turn, and one namespace has at
most a part of the slots at once: keys of a namespace wait for each other, not for those of another. A turn may have
several keys, which share what is read of their namespace; for each one beyond the first the namespace sits out a turn,
so that its share of the starts stays the same. Pure, without a clock.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memroll.controller.key import Key

MAX_FIRSTS_IN_A_ROW = 3
"""Maximum number of starts one after the other of keys that wait `first` while others wait in turn. Chosen by hand."""


class FairTurns:
    """Waiting and running keys of one set of slots.

    `max_per_namespace`: slots that one namespace may have at once; `max_per_turn`: keys that it starts in one turn.
    """

    def __init__(self, slots: int, max_per_namespace: int, max_per_turn: int = 1) -> None:
        self._slots = slots
        self._max_per_namespace = max_per_namespace
        self._max_per_turn = max_per_turn
        self._waiting: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()
        self._first: OrderedDict[Key, None] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._firsts_in_a_row = 0
        self._left_in_turn: dict[str, int] = {}
        """Number of keys that the namespaces whose turn it is may still start."""
        self._owed: Counter[str] = Counter()
        """Number of turns that each namespace sits out: it had more than one key in a turn while others waited."""

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
        in_turn = self._namespace_in_turn()
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

    def _able(self) -> list[str]:
        """Return the namespaces that have waiting keys and a free slot, in the order of their turns."""
        return [namespace for namespace in self._waiting if self._has_slot(namespace)]

    def _namespace_in_turn(self) -> str | None:
        """Return a namespace whose turn is not over, else the first one that sits out least; None if none may start."""
        able = self._able()
        return min(able, key=lambda ns: (ns not in self._left_in_turn, self._owed[ns]), default=None)

    def _take_from_turn(self, namespace: str) -> Key:
        """Return the first waiting key of a namespace, whose next turn is after those of all others."""
        is_alone = len(self._able()) == 1
        left = self._left_in_turn.pop(namespace, 0)
        if left:
            self._owed[namespace] += not is_alone
        elif not is_alone:
            self._let_others_sit_out(namespace)
        if not left and not self._owed[namespace]:
            left = self._max_per_turn
        keys = self._waiting[namespace]
        key, _ = keys.popitem(last=False)
        if left > 1:
            self._left_in_turn[namespace] = left - 1
        self._waiting.move_to_end(namespace)
        if not keys:
            self._remove(namespace)
        return key

    def _let_others_sit_out(self, namespace: str) -> None:
        """Count the turns of the namespaces that are passed over for this one. If all sit out, none has to."""
        able, common = self._able(), self._owed[namespace]
        for other in able if common else ():
            self._owed[other] -= common
        for passed in able[: able.index(namespace)]:
            self._owed[passed] -= 1
            self._waiting.move_to_end(passed)
        self._owed = +self._owed

    def _remove(self, namespace: str) -> None:
        """Remove a namespace without waiting keys. Once nobody waits, nobody has to sit out."""
        del self._waiting[namespace]
        self._left_in_turn.pop(namespace, None)
        if not self._waiting:
            self._owed.clear()

    def _remove_from_turn(self, key: Key) -> None:
        keys = self._waiting.get(key.namespace)
        if keys is not None:
            keys.pop(key, None)
            if not keys:
                self._remove(key.namespace)
