"""Command `memroll version`: print the version of this program."""

from __future__ import annotations

import platform

import click

from memroll import __version__
from memroll.cli.command import command as define
from memroll.cli.command import output_option
from memroll.cli.output import write_document


@define("version", examples=["version", "version -o json"])
@output_option("table", "json", "yaml")
def command(output: str) -> None:
    """Print the version of this program, of its Python and its platform."""
    python, system = platform.python_version(), f"{platform.system()} {platform.machine()}".lower()
    if output != "table":
        write_document({"version": __version__, "python": python, "platform": system}, output)
    else:
        click.echo(f"memroll {__version__} (Python {python}, {system})")
