"""Hidden command `memroll __complete`: completions of `kubectl memroll` in the protocol of kubectl's plugins."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete

from memroll.cli import COMPLETION_VARIABLE
from memroll.cli.command import command as define

NO_FILES = ":4"
"""Directive of the protocol: the shell must not complete names of files."""


@define(
    "__complete", examples=[], hidden=True, context_settings={"ignore_unknown_options": True}, add_help_option=False
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Print the completions of the last word, given the words before it."""
    shell = ShellComplete(ctx.find_root().command, {}, "memroll", COMPLETION_VARIABLE)
    *before, incomplete = words or ("",)
    for item in shell.get_completions(list(before), incomplete):
        click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(NO_FILES)
