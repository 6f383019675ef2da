"""Command `memroll crds`: print the CustomResourceDefinitions, or write them to a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from memroll.api import crd
from memroll.cli.command import command as define
from memroll.cli.errors import InvalidArgumentError


@define("crds", examples=["crds | kubectl apply --server-side -f -", "crds --write deploy/crds"])
@click.option("--write", type=click.Path(path_type=Path), metavar="DIR", help="write one file per kind to DIR")
def command(write: Path | None) -> None:
    """Print the CustomResourceDefinitions, or write them to a folder."""
    files = crd.files()
    if write is None:
        sys.stdout.write("---\n".join(files.values()))
        return
    if not write.is_dir() or not write.name:  # a blank argument is the current folder
        raise InvalidArgumentError(f"--write {write}: no such folder: create it first")
    for name, text in files.items():
        try:
            (write / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InvalidArgumentError(
                f"--write {write / name}: {error.strerror}: choose a folder that you can write"
            ) from error
