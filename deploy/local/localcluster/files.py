"""Writes files atomically: complete or not at all."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        os.fchmod(stream.fileno(), mode)
    Path(unfinished).rename(path)


def write_yaml(path: Path, value: Mapping[str, object]) -> None:
    write(path, yaml.safe_dump(value, sort_keys=False))


def write_json(path: Path, value: object) -> None:
    write(path, json.dumps(value, indent=2) + "\n")


def link(path: Path, target: Path) -> None:
    """Point a symlink at a target, replacing an older one in one step."""
    unfinished = path.with_name(f".{path.name}-unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(target)
    unfinished.rename(path)
