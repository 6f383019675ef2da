"""Cache that does not keep unused objects alive: `weakref.WeakValueDictionary`.

For objects that are owned elsewhere and found by a key: components of an open flow, connected sessions. The cache
returns an object while it is in use, and forgets it with its last user. Values must be instances of a class: a str, a
tuple or a dict has no weak references.
"""

from __future__ import annotations

import weakref


class Component:
    def __init__(self, name: str) -> None:
        self.name = name
        self.compiled = bytearray(100_000)


class Components:
    def __init__(self) -> None:
        self._by_name: weakref.WeakValueDictionary[str, Component] = weakref.WeakValueDictionary()

    def get(self, name: str) -> Component:
        """Return the component in use, or a new one. The caller's reference keeps it alive."""
        component = self._by_name.get(name)
        if component is None:
            component = self._by_name[name] = Component(name)
        return component

    def __len__(self) -> int:
        return len(self._by_name)


class Flow:
    """Owner of components for as long as it is open."""

    def __init__(self, components: Components, names: list[str]) -> None:
        self.components = [components.get(name) for name in names]
