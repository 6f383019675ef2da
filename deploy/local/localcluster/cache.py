"""Cache of folders, each named by the hash of its inputs, complete or absent, and verified on use.

An entry is created under a temporary name, gets a manifest of its files' hashes, and is renamed as the last step.
Remains of a killed run therefore never look like an entry.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from localcluster import mounts

MANIFEST = "MANIFEST.sha256"
UNFINISHED = ".unfinished-"
KEY_LENGTH = 16
MAX_ENTRIES = 3
"""Maximum number of entries kept of one name: developers often return to an earlier version. Chosen by hand."""


def hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_parts(parts: Iterable[str]) -> str:
    """Return the hash of a list of strings. It depends on where each string ends."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(f"{len(encoded)}:".encode())
        digest.update(encoded)
    return digest.hexdigest()


@dataclass(frozen=True)
class Cache:
    root: Path

    def path(self, name: str, key: str) -> Path:
        return self.root / f"{name}-{key[:KEY_LENGTH]}"

    def find(self, name: str, key: str) -> Path | None:
        """Return the entry if its content matches its manifest; remove it otherwise."""
        entry = self.path(name, key)
        if not entry.exists():
            return None
        if is_intact(entry):
            os.utime(entry)  # prune() reads it
            return entry
        self.discard(entry)
        return None

    def make(self, name: str, key: str, produce: Callable[[Path], None]) -> Path:
        self.root.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}{name}-", dir=self.root))
        try:
            produce(unfinished)
            write_manifest(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(self.path(name, key))
        except BaseException:
            remove_tree(unfinished)
            raise
        self.prune(name)
        return self.path(name, key)

    def remove_unfinished(self) -> list[Path]:
        """Remove unfinished entries of killed runs."""
        unfinished = sorted(self.root.glob(f"{UNFINISHED}*"))
        for path in unfinished:
            remove_tree(path)
        return unfinished

    def prune(self, name: str) -> None:
        """Remove all but the most recently used entries of a name."""
        entries = [path for path in self.root.glob(f"{name}-*") if len(path.name) == len(name) + 1 + KEY_LENGTH]
        for entry in sorted(entries, key=lambda path: path.stat().st_mtime, reverse=True)[MAX_ENTRIES:]:
            self.discard(entry)

    def discard(self, entry: Path) -> None:
        """Remove an entry. It is renamed first, because a half-deleted folder must not look like an entry."""
        discarded = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}doomed-", dir=self.root))
        entry.rename(discarded / entry.name)
        remove_tree(discarded)


def write_manifest(entry: Path) -> None:
    lines = [f"{hash_file(path)}  {path.relative_to(entry)}\n" for path in _files(entry)]
    with (entry / MANIFEST).open("w") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())


def is_intact(entry: Path) -> bool:
    try:
        lines = (entry / MANIFEST).read_text().splitlines()
    except OSError:
        return False
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = {str(path.relative_to(entry)): path for path in _files(entry)}
    return files.keys() == expected.keys() and all(hash_file(files[name]) == expected[name] for name in files)


def remove_tree(path: Path) -> None:
    """Remove a folder. Mounts below it, left by a killed debootstrap, are unmounted first to spare their content."""
    mounts.unmount_below(path)
    shutil.rmtree(path, ignore_errors=True)


def _files(entry: Path) -> list[Path]:
    return sorted(
        path for path in entry.rglob("*") if path.is_file() and not path.is_symlink() and path.name != MANIFEST
    )
