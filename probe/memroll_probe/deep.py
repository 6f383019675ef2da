"""What pympler and objgraph add, if the service has them and `?deep=1` asks: slow, so few objects and little depth."""

from __future__ import annotations

import importlib
from typing import Any

from memroll_probe.naming import type_name

SIZE_DEPTH = 3
CHAIN_DEPTH = 12


def sample_bytes(thing: Any) -> int | None:
    """Return what one object keeps alive some levels down, by pympler."""
    sizes = _optional("pympler.asizeof")
    return None if sizes is None else int(sizes.asizeof(thing, limit=SIZE_DEPTH))


def chain(thing: Any) -> list[str]:
    """Return the types from a module down to an object, by objgraph."""
    graph = _optional("objgraph")
    if graph is None:
        return []
    return [type_name(type(o)) for o in graph.find_backref_chain(thing, graph.is_proper_module, max_depth=CHAIN_DEPTH)]


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
