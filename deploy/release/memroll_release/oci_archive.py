"""Reads an OCI archive: its digests are checked, and files are found in the topmost layer that has them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from memroll_release.release import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class OciArchive:
    path: Path

    def check(self) -> None:
        """Raise unless each blob has the digest by which it is named, and the manifest's blobs are there."""
        with self._open() as tar:
            for name in tar.getnames():
                if name.startswith("blobs/sha256/") and _hash(_stream(tar, name)) != name.rpartition("/")[2]:
                    raise ReleaseError(f"{self.path.name} is damaged: {name} has another digest")
            manifest = self._manifest(tar)
            for part in (manifest["config"], *manifest["layers"]):
                _stream(tar, _blob(part))

    def read_configuration(self) -> dict[str, Any]:
        """Return the settings of the image's containers."""
        with self._open() as tar:
            document = _read_json(tar, _blob(self._manifest(tar)["config"]))
            return cast("dict[str, Any]", document.get("config", {}))

    def read_file(self, name: str) -> bytes | None:
        """Return the content of a file of the image. Files that a later layer deletes are not expected."""
        with self._open() as tar:
            for layer in reversed(self._manifest(tar)["layers"]):
                with tarfile.open(fileobj=_stream(tar, _blob(layer)), mode="r:*") as files:
                    found = _find_file(files, name)
                if found is not None:
                    return found
        return None

    def _open(self) -> tarfile.TarFile:
        try:
            return tarfile.open(self.path)
        except (OSError, tarfile.TarError) as error:
            raise ReleaseError(f"{self.path.name} is no archive: {error}") from error

    def _manifest(self, tar: tarfile.TarFile) -> dict[str, Any]:
        manifests = _read_json(tar, "index.json")["manifests"]
        if len(manifests) != 1:
            raise ReleaseError(f"{self.path.name} has {len(manifests)} images, not one")
        return _read_json(tar, _blob(manifests[0]))


def _blob(descriptor: dict[str, str]) -> str:
    return "blobs/" + descriptor["digest"].replace(":", "/")


def _read_json(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.load(_stream(tar, name)))


def _stream(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        stream = tar.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise ReleaseError(f"the archive has no {name}")
    return stream


def _hash(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _find_file(files: tarfile.TarFile, name: str) -> bytes | None:
    for entry in files:
        if entry.name.removeprefix("./") == name and entry.isfile():
            stream = files.extractfile(entry)
            return None if stream is None else stream.read()
    return None
