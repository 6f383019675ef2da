"""Key of the work queues and of what is remembered of an object between two reconciles."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """Namespace and name of a MemoryPolicy or a PodRoll."""

    namespace: str
    name: str
