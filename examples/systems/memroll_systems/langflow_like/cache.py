"""The component cache: the bug, and its fix of one word."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from memroll_systems.langflow_like.components import Component


class ComponentCache:
    """Saves a run from building a component once for each edge that leads to it.

    The key names the run, so nothing is ever found again after it. With strong references an entry stays until the
    process ends; with weak ones it goes with the graph of its run, which is all that anybody wanted.
    """

    def __init__(self, *, weak: bool) -> None:
        self._known: MutableMapping[str, Component] = WeakValueDictionary() if weak else {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> Component | None:
        return self._known.get(key)

    def put(self, key: str, component: Component) -> Component:
        self._known[key] = component
        return component
