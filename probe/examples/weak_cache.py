"""A cache that does not keep what nobody else uses: `weakref.WeakValueDictionary`.

For objects that live somewhere else and are looked up by a key: components of a flow that is open, sessions that are
connected. The cache finds them again while they live, and forgets them with their last user. Values must be objects of
a class (a str, a tuple or a dict can't be referred to weakly).
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
        """Return the component that is in use, or a new one. The caller's reference is what keeps it alive."""
        component = self._by_name.get(name)
        if component is None:
            component = self._by_name[name] = Component(name)
        return component

    def __len__(self) -> int:
        return len(self._by_name)


class Flow:
    """What owns components for as long as it is open."""

    def __init__(self, components: Components, names: list[str]) -> None:
        self.components = [components.get(name) for name in names]
