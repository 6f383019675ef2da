"""Writes .tar.gz files whose bytes depend on their content only: sorted, of one time, without owners."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EXECUTABLE, PLAIN = 0o755, 0o644


def write_tar_gz(path: Path, contents: Mapping[str, bytes], epoch_s: int, executables: frozenset[str]) -> None:
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch_s) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), epoch_s
            entry.mode = EXECUTABLE if name in executables else PLAIN
            tar.addfile(entry, io.BytesIO(content))


def read_tar_gz(path: Path) -> dict[str, bytes]:
    """Return the content of each file of an archive."""
    contents = {}
    with tarfile.open(path, "r:gz") as tar:
        for entry in tar:
            stream = tar.extractfile(entry)
            if stream is not None:
                contents[entry.name] = stream.read()
    return contents
