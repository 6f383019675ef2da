"""Command `memroll version`: print the version of this program."""

from __future__ import annotations

import json
import platform

import click

from memroll import __version__
from memroll.cli.command import command as define
from memroll.cli.command import output_option


@define("version", examples=["version", "version -o json"])
@output_option("table", "json")
def command(output: str) -> None:
    """Print the version of this program, of its Python and its platform."""
    python, system = platform.python_version(), f"{platform.system()} {platform.machine()}".lower()
    if output == "json":
        click.echo(json.dumps({"version": __version__, "python": python, "platform": system}))
    else:
        click.echo(f"memroll {__version__} (Python {python}, {system})")
