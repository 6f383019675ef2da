"""Buffers that tools work in. They are used again and never given back: a pool is as large as the largest burst."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKSPACE_BYTES = 2**20


class Workspaces:
    """A pool that has as many workspaces as were ever in use at once."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []
        self.made = 0

    @contextmanager
    def borrowed(self) -> Iterator[bytearray]:
        """Lend a workspace for a while."""
        workspace = self._free.pop() if self._free else self._made()
        try:
            yield workspace
        finally:
            self._free.append(workspace)

    def _made(self) -> bytearray:
        self.made += 1
        return bytearray(b" " * WORKSPACE_BYTES)
