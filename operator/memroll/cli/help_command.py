"""Command `memroll help`: show the help of memroll, or of a command."""

from __future__ import annotations

import click

from memroll.cli.command import command as define


@define("help", examples=["help", "help report"])
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of memroll, or of a command."""
    root = ctx.find_root()
    assert isinstance(root.command, click.Group), "the root has commands"
    if name is None:
        click.echo(root.get_help())
        return
    _, found, _ = root.command.resolve_command(root, [name])
    assert found is not None, "an unknown command is an error"
    click.echo(found.get_help(click.Context(found, parent=root, info_name=name)))
