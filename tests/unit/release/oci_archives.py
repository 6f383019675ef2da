"""Writes small OCI archives, as buildah does: blobs by digest, one manifest, one index."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile


def layer(files, *, compressed=False):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz" if compressed else "w") as tar:
        for name, content in files.items():
            _add(tar, name, content)
    return data.getvalue()


def write_archive(path, files, environment=(), *, layers=None, damaged=False):
    """Write an archive whose layers are those given, or one with the files."""
    blobs = {}

    def add(content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    added = [add(one) for one in (layers or [layer(files)])]
    config = add(json.dumps({"config": {"Env": list(environment)}}).encode())
    manifest = add(json.dumps({"config": config, "layers": added}).encode())
    if damaged:
        blobs[added[0]["digest"].partition(":")[2]] += b"."
    with tarfile.open(path, "w") as tar:
        _add(tar, "index.json", json.dumps({"manifests": [manifest]}).encode())
        for digest, content in blobs.items():
            _add(tar, f"blobs/sha256/{digest}", content)


def _add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
