"""Files that change under a running process: noticing it, and reading the secrets in them.

A mounted Secret is swapped by re-pointing a symbolic link, so a file's identity is its inode as well as its time.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.clients.prometheus.config import Connections, load
from memroll.errors import Stalled

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from memroll.clients.prometheus.config import Connection

SECRET_BYTES_MAX = 16 * 1024

Version = tuple[tuple[int, int, int], ...]
"""Of each file: when it changed (ns), its size, its inode."""


def version_of(files: Iterable[Path]) -> Version:
    """Return what differs as soon as one of the files does."""
    found = []
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


class ConnectionsFile:
    """The admin's file, read again when it changed. Called from one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: Version | None = None
        self._connections = Connections()

    def __call__(self) -> Connections:
        version = version_of([self._path])
        if version != self._version:
            self._connections = load(self._path)
            self._version = version
        return self._connections


@dataclass(frozen=True, slots=True)
class Credentials:
    """What goes into the Authorization header, and the strings that no message may show."""

    header: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """Blot the secrets out of what a server sent back."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def credentials_of(connection: Connection) -> Credentials:
    """Read the credentials of a connection now."""
    if connection.authorization:
        path = connection.authorization.credentials_file
        token = _secret(path)
        if not token.isascii():
            raise Stalled("ConnectionInvalid", f"{path}: a token is ASCII")
        return Credentials(f"Bearer {token}", (token,))
    if connection.basic_auth:
        password = _secret(connection.basic_auth.password_file)
        pair = f"{connection.basic_auth.username}:{password}".encode()
        encoded = base64.b64encode(pair).decode("ascii")
        return Credentials(f"Basic {encoded}", (encoded, password))
    return Credentials()


def _secret(path: Path) -> str:
    """Read a secret of one printable line; a trailing newline is the editor's, not the secret's."""
    try:
        with path.open("rb") as file:
            raw = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    text = raw.decode("utf-8", errors="replace").rstrip("\r\n")
    if len(raw) > SECRET_BYTES_MAX or not text or not text.isprintable() or "\ufffd" in text:
        raise Stalled("ConnectionInvalid", f"{path}: must hold one line of printable UTF-8")
    return text


def _unreadable(path: Path, error: OSError) -> Stalled:
    return Stalled("ConnectionInvalid", f"{path}: {error.strerror}")
