"""SHA256SUMS of the files of a release, as `sha256sum --check` reads it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CHECKSUMS = "SHA256SUMS"


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    lines = [f"{hash_file(file)}  {file.name}\n" for file in sorted(files)]
    unfinished = folder / f".{CHECKSUMS}-unfinished"
    unfinished.write_text("".join(lines), encoding="utf-8")
    unfinished.replace(folder / CHECKSUMS)


def hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
