"""Connections file and credential files, which may change while the process runs.

The kubelet updates a mounted Secret by replacing a symbolic link, so the version of a file includes its inode.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memroll.clients.prometheus.config import Connections, load
from memroll.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from memroll.clients.prometheus.config import Connection

MAX_SECRET_BYTES = 16 * 1024
"""Maximum size of a file with a credential, in bytes; chosen by hand."""

Version = tuple[tuple[int, int, int], ...]
"""Modification time (ns), size and inode of each file."""


def read_version(files: Iterable[Path]) -> Version:
    """Return the version of a set of files; it changes when one of them changes."""
    found = []
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)


class ConnectionsFile:
    """Connections file, read again when it has changed. Called from one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: Version | None = None
        self._connections = Connections()

    def __call__(self) -> Connections:
        version = read_version([self._path])
        if version != self._version:
            self._connections = load(self._path)
            self._version = version
        return self._connections

    def has(self, name: str) -> bool:
        """Return whether the file has a connection of this name; False if it can't be read."""
        try:
            return name in self().connections
        except TerminalError:
            return False


@dataclass(frozen=True, slots=True)
class Credentials:
    """Value of the Authorization header, and the strings that no message may contain."""

    header: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """Replace the secrets in a server's text."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def read_credentials(connection: Connection) -> Credentials:
    """Read the current credentials of a connection."""
    if connection.authorization:
        path = connection.authorization.credentials_file
        token = _read_secret(path)
        if not token.isascii():
            raise TerminalError("ConnectionInvalid", f"{path}: the token must be ASCII")
        return Credentials(f"Bearer {token}", (token,))
    if connection.basic_auth:
        password = _read_secret(connection.basic_auth.password_file)
        pair = f"{connection.basic_auth.username}:{password}".encode()
        encoded = base64.b64encode(pair).decode("ascii")
        return Credentials(f"Basic {encoded}", (encoded, password))
    return Credentials()


def _read_secret(path: Path) -> str:
    """Read a secret of one printable line, without a trailing newline."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    text = raw.decode("utf-8", errors="replace").rstrip("\r\n")
    if len(raw) > MAX_SECRET_BYTES or not text or not text.isprintable() or "\ufffd" in text:
        raise TerminalError("ConnectionInvalid", f"{path}: must hold one line of printable UTF-8")
    return text


def _unreadable(path: Path, error: OSError) -> TerminalError:
    return TerminalError("ConnectionInvalid", f"{path}: {error.strerror}")
