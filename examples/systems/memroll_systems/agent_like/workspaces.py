"""Pool of buffers for the tools. Buffers are reused and never freed, so the pool is as large as the largest burst."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKSPACE_BYTES = 2**20


class Workspaces:
    """Pool with as many workspaces as were ever in use concurrently."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []
        self.created = 0

    @contextmanager
    def borrow(self) -> Iterator[bytearray]:
        """Provide a workspace for the duration of the context."""
        workspace = self._free.pop() if self._free else self._make()
        try:
            yield workspace
        finally:
            self._free.append(workspace)

    def _make(self) -> bytearray:
        self.created += 1
        return bytearray(b" " * WORKSPACE_BYTES)
