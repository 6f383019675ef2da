"""Component cache, with the leak and its fix of one word."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from memroll_systems.langflow_like.components import Component


class ComponentCache:
    """Cache of components, so that a run builds each component once and not once per incoming edge.

    The key contains the run, so no entry is found again after the run. With strong references, an entry stays until
    the process ends; with weak references, it disappears with the graph of its run.
    """

    def __init__(self, *, weak: bool) -> None:
        self._components: MutableMapping[str, Component] = WeakValueDictionary() if weak else {}

    def __len__(self) -> int:
        return len(self._components)

    def get(self, key: str) -> Component | None:
        return self._components.get(key)

    def put(self, key: str, component: Component) -> Component:
        self._components[key] = component
        return component
