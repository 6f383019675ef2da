"""Object sizes and reference chains by pympler and objgraph, for `?deep=1` in services that have them installed.

Both are slow, so few objects are inspected, and not deeply. Called by report.
"""

from __future__ import annotations

import importlib
from typing import Any

from memroll_probe.naming import type_name

MAX_SIZE_DEPTH = 3
"""Maximum number of reference levels that count towards an object's size. Chosen by hand."""
MAX_CHAIN_DEPTH = 12
"""Maximum length of a reference chain. Chosen by hand."""


def sample_bytes(thing: Any) -> int | None:
    """Return the size of an object with what it references, by pympler; None without pympler."""
    sizes = _import_optional("pympler.asizeof")
    return None if sizes is None else int(sizes.asizeof(thing, limit=MAX_SIZE_DEPTH))


def chain(thing: Any) -> list[str]:
    """Return the types from a module down to an object, by objgraph; empty without objgraph."""
    graph = _import_optional("objgraph")
    if graph is None:
        return []
    found = graph.find_backref_chain(thing, graph.is_proper_module, max_depth=MAX_CHAIN_DEPTH)
    return [type_name(type(o)) for o in found]


def _import_optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
