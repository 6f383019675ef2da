"""What several processes of one test run use together: the first installs it, the last removes it."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Shared:
    """Counts users in files of a folder that all processes of the run have; a lock ends with who holds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def using(self, name: str, install: Callable[[], None], remove: Callable[[], None]) -> Iterator[None]:
        """Install what nobody uses yet, and remove it after the last use. What fails to install has no users."""
        with self._counted(name) as users:
            if not users.read():
                install()
            users.write(users.read() + 1)
        try:
            yield
        finally:
            with self._counted(name) as users:
                users.write(users.read() - 1)
                if not users.read():
                    remove()

    @contextmanager
    def _counted(self, name: str) -> Iterator[_Count]:
        with (self._folder / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield _Count(self._folder / f"{name}.users")


class _Count:
    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> int:
        return int(self._file.read_text(encoding="ascii")) if self._file.exists() else 0

    def write(self, count: int) -> None:
        self._file.write_text(str(count), encoding="ascii")
