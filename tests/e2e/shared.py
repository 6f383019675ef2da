"""Resources shared by several processes of one test run: the first user installs one, the last removes it."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class SharedResources:
    """Counts users in files of a folder that all processes have, under a file lock, which ends with its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def use(self, name: str, install: Callable[[], None], remove: Callable[[], None]) -> Iterator[None]:
        """Install a resource for its first user, and remove it after its last; a failed installation has no users."""
        with self._locked_count(name) as users:
            if not users.read():
                install()
            users.write(users.read() + 1)
        try:
            yield
        finally:
            with self._locked_count(name) as users:
                users.write(users.read() - 1)
                if not users.read():
                    remove()

    @contextmanager
    def _locked_count(self, name: str) -> Iterator[_UseCount]:
        with (self._folder / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield _UseCount(self._folder / f"{name}.users")


class _UseCount:
    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> int:
        return int(self._file.read_text(encoding="ascii")) if self._file.exists() else 0

    def write(self, count: int) -> None:
        self._file.write_text(str(count), encoding="ascii")
