"""Folders named by the hash of what they were made from, complete or absent, and checked when they are used.

An entry is made under a temporary name, gets a manifest of its files' hashes, and is renamed as the last
step. Whatever a killed run leaves therefore never looks like an entry.
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
# Going back to the version before is common while working.
KEPT = 3


def hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_parts(parts: Iterable[str]) -> str:
    """Hash strings so that moving a character from one to the next changes the result."""
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
        """Return the entry if its content is exactly what was made; remove it if not."""
        entry = self.path(name, key)
        if not entry.exists():
            return None
        if intact(entry):
            os.utime(entry)  # prune() goes by it
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

    def sweep(self) -> list[Path]:
        """Remove what killed runs left unfinished."""
        unfinished = sorted(self.root.glob(f"{UNFINISHED}*"))
        for path in unfinished:
            remove_tree(path)
        return unfinished

    def prune(self, name: str) -> None:
        """Keep the entries of this name that were used last."""
        entries = [path for path in self.root.glob(f"{name}-*") if len(path.name) == len(name) + 1 + KEY_LENGTH]
        for entry in sorted(entries, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
            self.discard(entry)

    def discard(self, entry: Path) -> None:
        """Rename first: a half-deleted folder must not look like an entry either."""
        doomed = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}doomed-", dir=self.root))
        entry.rename(doomed / entry.name)
        remove_tree(doomed)


def write_manifest(entry: Path) -> None:
    lines = [f"{hash_file(path)}  {path.relative_to(entry)}\n" for path in _files(entry)]
    with (entry / MANIFEST).open("w") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())


def intact(entry: Path) -> bool:
    try:
        lines = (entry / MANIFEST).read_text().splitlines()
    except OSError:
        return False
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    files = {str(path.relative_to(entry)): path for path in _files(entry)}
    return files.keys() == expected.keys() and all(hash_file(files[name]) == expected[name] for name in files)


def remove_tree(path: Path) -> None:
    """Remove a folder. One a killed debootstrap worked in has mounts, and what is mounted must survive."""
    mounts.unmount_below(path)
    shutil.rmtree(path, ignore_errors=True)


def _files(entry: Path) -> list[Path]:
    return sorted(
        path for path in entry.rglob("*") if path.is_file() and not path.is_symlink() and path.name != MANIFEST
    )
